"""uvicorn with this server's own limits, timeouts, signals and middleware."""
