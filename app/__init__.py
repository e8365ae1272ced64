"""Aisha's fal.ai webhook server: prove, store, answer, apply once, tell once."""

__version__ = "0.2.0"
