"""Whether the bot asks fal by itself and writes over what this server has finished: traces of its pollers in its rows.

Facts: docs/bot-database.md.
"""

from collections.abc import Sequence
from datetime import datetime

from app.db import job_facts, poller_traces
from app.db.engine import Database
from app.db.trainings import BotTables
from app.doctor.finding import Catalogue, Finding, Level, Wording, finding
from app.domain.invented import Invented
from app.domain.language import Language, Msgid, msgid

SWITCH_OFF: Msgid = msgid(
    "Take the starts of status_checker, the startup check and the delayed one out of the bot: docs/bot-database.md."
)

WORDS: Catalogue = {
    "poller.invented": Wording(
        Level.WARN,
        msgid("the bot polls fal itself: avatars with an artifact that nobody made: {count}"),
        SWITCH_OFF,
        "aisha-webhook why {example}",
    ),
    "poller.invented_elsewhere": Wording(
        Level.WARN,
        msgid("the bot polls fal itself: avatars with an artifact that nobody made, and no request id: {count}"),
        SWITCH_OFF,
        "aisha-webhook jobs list",
    ),
    "poller.set_back": Wording(
        Level.WARN,
        msgid("the bot polls fal itself: finished avatars set back to training: {count}"),
        SWITCH_OFF,
        "aisha-webhook why {example}",
    ),
    "poller.drifted": Wording(
        Level.WARN,
        msgid("the bot polls fal itself: rows set back within the day and put right by the server: {count}"),
        SWITCH_OFF,
        "aisha-webhook jobs list",
    ),
}


async def look_for_pollers(
    database: Database, bot_tables: BotTables, invented: Invented, now: datetime, language: Language
) -> list[Finding]:
    """Look through the bot's rows. Raises DatabaseUnavailable."""
    made_up = await database.read(poller_traces.find_invented, bot_tables, invented)
    set_back = await database.read(poller_traces.find_set_back, bot_tables)
    drifted = (await database.read(job_facts.count, now)).drifted
    nameless = made_up.count("")
    found = [
        *_exemplified("poller.invented", [name for name in made_up if name], language),
        *_exemplified("poller.set_back", set_back, language),
    ]
    if nameless:
        found.append(finding(WORDS, "poller.invented_elsewhere", language, count=nameless))
    if drifted:
        found.append(finding(WORDS, "poller.drifted", language, count=drifted))
    return found


def _exemplified(code: str, request_ids: Sequence[str], language: Language) -> list[Finding]:
    if not request_ids:
        return []
    return [finding(WORDS, code, language, count=len(request_ids), example=request_ids[0])]
