"""The aisha-webhook command."""
