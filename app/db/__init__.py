"""The inbox, the outbox and the bot's two tables. SQLAlchemy lives here."""
