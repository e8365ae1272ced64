"""Certificates and the live TLS context."""
