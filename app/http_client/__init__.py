"""The one HTTP client: proxies and trust anchors of the environment, no redirects, every answer capped."""
