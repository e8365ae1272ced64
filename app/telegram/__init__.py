"""Telegram: wording and sending."""
