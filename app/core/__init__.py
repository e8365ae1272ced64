"""Settings and logging; knows nobody."""
