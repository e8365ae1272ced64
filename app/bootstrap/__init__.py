"""Settings → services: the only place that constructs adapters."""
