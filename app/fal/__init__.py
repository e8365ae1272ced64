"""fal.ai: signatures, keys, addresses, payloads, the queue API."""
