"""The demo: the whole way on a scratch database, against local twins of fal and of Telegram."""
