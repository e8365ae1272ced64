"""Wording of the operator's daily digest. No I/O."""

from datetime import timedelta
from gettext import GNUTranslations

from app.domain.digest import Digest, FailedTraining
from app.domain.message import Message
from app.domain.notification import DigestMessage
from app.telegram.names import escaped, isolated, shown_name

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def word_digest(message: DigestMessage, words: GNUTranslations) -> Message:
    """Say what became of a day's trainings; each failed one with avatar and chat, for a refund."""
    say, digest = words.gettext, message.digest
    headline = say("digest.title").format(day=message.day)
    lines = [
        say("digest.counts").format(ready=digest.ready, failed=digest.failed),
        *_waits(digest, words),
    ]
    if digest.failures:
        lines += ["", say("digest.failures"), *(_failure(words, one) for one in digest.failures)]
        if (more := digest.failed - len(digest.failures)) > 0:
            lines.append(say("digest.more").format(count=more))
    text = "\n".join(lines)
    return Message(f"<b>{escaped(headline)}</b>\n\n{escaped(text)}", f"{headline}\n\n{text}")


def _waits(digest: Digest, words: GNUTranslations) -> list[str]:
    waits = (("digest.median", digest.median_wait), ("digest.oldest", digest.oldest_wait))
    return [words.gettext(key).format(wait=_spell(wait, words)) for key, wait in waits if wait is not None]


def _spell(wait: timedelta, words: GNUTranslations) -> str:
    if wait >= 2 * HOUR:
        return words.gettext("digest.hours").format(count=round(wait / HOUR))
    return words.gettext("digest.minutes").format(count=round(wait / MINUTE))


def _failure(words: GNUTranslations, failed: FailedTraining) -> str:
    shown = shown_name(failed.avatar)
    name = isolated(shown) if shown else words.gettext("label.unnamed")
    return f"• {name} · {'—' if failed.chat_id is None else failed.chat_id} · {failed.cause}"
