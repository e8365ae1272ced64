"""Why a row waits and what mends it: in both languages, with commands that can be pasted."""

from html import unescape
from urllib.parse import quote

import pytest

from app.core.clock import SystemClock
from app.dashboard.pages.now import LINKS
from app.dashboard.remedies import in_words, meaning, pasted, remedy_of, remedy_of_all
from app.db.operator_queries import Queue
from app.domain import story_reasons
from app.domain.alert import Condition
from app.domain.language import Language
from app.domain.search import parse_search
from app.files.command import command_from_anywhere
from tests.dashboard.conftest import Site
from tests.dashboard.rows import a_day, seeded_at

TABLES = (
    story_reasons.PENDING_DELIVERY,
    story_reasons.DEAD_DELIVERY,
    story_reasons.PENDING_MESSAGE,
    story_reasons.DEAD_MESSAGE,
    story_reasons.PENDING_JOB,
    story_reasons.DEAD_JOB,
)
NOW = SystemClock().now()


@pytest.mark.parametrize("language", ["ru", "en"])
def test_every_reason_to_wait_has_words(language: Language) -> None:
    """No page shows a code alone where somebody has to act on it."""
    reasons = {reason for table in TABLES for reason in table if reason is not None}
    assert [reason for reason in sorted(reasons) if not meaning(language, reason)] == []
    assert meaning(language, "a_newer_version_s") == meaning(language, None) == ""


def test_a_command_works_from_any_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours goes to its folder first, and so does an editor; a command of the system stays as it is."""
    assert pasted("aisha-webhook doctor") == f"{command_from_anywhere()} doctor"
    assert pasted("${EDITOR:-nano} .env").startswith("cd /")
    assert pasted("sudo systemctl restart x") == "sudo systemctl restart x"


def test_a_row_says_its_own_remedy() -> None:
    """What is set aside waits for the operator; what is done for nobody."""
    row = {"id": 7, "request_id": "r 1", "state": "dead", "reason": "orphan"}
    found = remedy_of("en", Queue.DELIVERIES, row)
    assert found is not None
    assert found.is_bad
    assert found.command.endswith(" deliveries redrive 7")
    waiting = remedy_of("ru", Queue.JOBS, {**row, "state": "pending", "reason": None, "stage": "queued"})
    assert waiting is not None
    assert not waiting.is_bad
    assert waiting.command.endswith(" reconcile 'r 1'")
    assert remedy_of("en", Queue.DELIVERIES, {**row, "state": "done"}) is None


@pytest.mark.parametrize(
    ("queue", "words", "command"),
    [
        (Queue.DELIVERIES, "state:dead reason:orphan", " redrive --filter 'state:dead reason:orphan' --rehearse"),
        (Queue.DELIVERIES, "reason:conflict", " deliveries ignore --filter reason:conflict --rehearse"),
        (Queue.DELIVERIES, "state:dead reason:not_json", " deliveries list 'state:dead reason:not_json'"),
        (Queue.JOBS, "reason:account_locked", " doctor"),
        (Queue.NOTIFICATIONS, "reason:token_refused", " && ${EDITOR:-nano} .env"),
        (Queue.DELIVERIES, "reason:{}", None),
        (Queue.DELIVERIES, "state:dead", None),
    ],
)
def test_a_whole_search_has_one_remedy(queue: Queue, words: str, command: str | None) -> None:
    """A list of one reason says what it means, and the command for all of its rows."""
    found = remedy_of_all("en", queue, parse_search(words, queue.value, NOW))
    assert (None if found is None else found.command.endswith(command or "-")) == (None if command is None else True)


def test_counts_are_said_in_words() -> None:
    """Behind each reason of an alert stands what it means; other text stays."""
    assert in_words("en", "2 × fal_down, 1 × …") == "2 × fal_down (fal's queue does not answer), 1 × …"


@pytest.mark.anyio
async def test_every_alert_leads_to_a_page(inside: Site) -> None:
    """No link of the first page is refused, whatever the alert."""
    await inside.database.write(a_day, seeded_at())
    links = {link.partition("#")[0] for condition in Condition for link in LINKS.get(condition, ("doctor",))}
    for link in sorted(links):
        await inside.text(quote(f"/dashboard/{link}", safe="/?=:&"))


@pytest.mark.anyio
async def test_a_delivery_that_was_set_aside_says_why(inside: Site) -> None:
    """The page has the reason in words, what is to be done, and the command."""
    await inside.database.write(a_day, seeded_at())
    page = unescape(await inside.text("/dashboard/deliveries/61"))
    for words in (meaning("en", "conflict"), "compare, then ignore", f"{command_from_anywhere()} deliveries ignore 61"):
        assert words in page
