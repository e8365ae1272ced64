"""Examines an installation: what works, what does not, and the command that mends it. The server never imports it."""
