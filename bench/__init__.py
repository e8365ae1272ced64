"""The benchmark and its baselines: `python -m bench.ingest`."""
