"""Aisha's fal.ai webhook server: prove, store, answer, apply once, tell once."""

__version__ = "0.1.0"
