"""Changes of the bot's rows that break."""

import pytest

from app.db.trainings import BotTables


def break_changes_of(request_id: str, bot_tables: BotTables, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a commit break that changes the avatar of this request id."""
    real = bot_tables.change

    def change(transaction, changes):  # noqa: ANN001, ANN202  the signature is BotTables.change
        if any(training.request_id == request_id for training, _, _ in changes):
            raise ZeroDivisionError
        real(transaction, changes)

    monkeypatch.setattr(bot_tables, "change", change)
