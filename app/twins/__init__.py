"""Local stand-ins for fal.ai and Telegram, for tests and the demo."""
