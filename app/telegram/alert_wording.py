"""Wording of what the operator hears. No I/O."""

import re
from collections.abc import Callable
from functools import partial

from app.domain.alert import REMEDY, AlertLevel
from app.domain.message import Message
from app.domain.notification import AlertMessage, Topic
from app.telegram.names import escaped, shown_name

CLI = "aisha-webhook"
DETAIL_LIMIT = 1000  # characters shown of an alert's detail
MARKS = {AlertLevel.WARN: "⚠️", AlertLevel.CRITICAL: "🚨"}
OVER = "✅"
# Why a row may be set aside, as far as an operator needs more than the code: docs/errors.md has them all.
REASONS = (
    "not_json", "unknown_status", "status_unknown", "conflict", "id_mismatch", "orphan", "no_fal_key",
    "fal_key_refused", "no_artifact", "result_unreadable", "artifact_absent", "bug", "rejected", "no_chat_id",
    "outcome_unknown", "telegram_down",
)  # fmt: skip
_COUNT = re.compile(r"(\d+) × ([a-z_]+)", re.ASCII)


def word_alert(alert: AlertMessage, say: Callable[[str], str], cli: str = CLI) -> Message:
    """Say what is wrong, where, and what to run first; or that it is over. `cli`: how our own command is called."""
    title = say(f"alert.{alert.condition}.title") + (f" · {shown_name(alert.machine)}" if alert.machine else "")
    if alert.topic is Topic.RESOLVED:
        headline = f"{OVER} {say('resolved.title')}: {title}"
        text = say("resolved.text")
        return Message(f"<b>{escaped(headline)}</b>\n\n{escaped(text)}", f"{headline}\n\n{text}", ())
    headline = f"{MARKS[alert.level]} {title}"
    detail = _COUNT.sub(partial(_in_words, say), alert.detail)
    text = say(f"alert.{alert.condition}.text").format(detail=shown_name(detail, DETAIL_LIMIT))
    command = re.sub(rf"\A{CLI}\b", lambda _: cli, REMEDY[alert.condition])
    return Message(
        f"<b>{escaped(headline)}</b>\n\n{escaped(text)}\n\n<code>{escaped(command)}</code>",
        f"{headline}\n\n{text}\n\n{command}",
        (),
    )


def word_test(say: Callable[[str], str]) -> Message:
    """Say that a delivery of `aisha-webhook try` has come the whole way."""
    headline, text = say("test.title"), say("test.text")
    return Message(f"<b>{escaped(headline)}</b>\n\n{escaped(text)}", f"{headline}\n\n{text}", ())


def _in_words(say: Callable[[str], str], count: "re.Match[str]") -> str:
    """Say what a reason means behind its code, which the pages and commands know it by."""
    return f"{count[0]} ({say(f'reason.{count[2]}')})" if count[2] in REASONS else count[0]
