"""Whatever an operator reads leads to a section of the runbook."""

import re

import pytest
from babel.messages.pofile import read_po

from app.catalog import LOCALES, OPERATOR
from app.core.exit_codes import Exit
from app.domain.alert import Condition
from tests.docs.project import ROOT, between, modules, names, page, rows
from tests.docs.test_codes import events_in_the_code
from tests.docs.test_doctor import worded

BOTH = ("docs/runbook.md", "docs/runbook.ru.md")
TROUBLE = {"warning", "error", "critical"}

each = pytest.mark.parametrize("runbook", BOTH)


def index(runbook: str) -> set[str]:
    return set(names(between(page(runbook), "index")))


@each
def test_every_alert_leads_somewhere(runbook: str) -> None:
    """Each condition that may alarm stands in the index."""
    assert {str(condition) for condition in Condition} - index(runbook) == set()


@each
def test_every_event_that_means_trouble_leads_somewhere(runbook: str) -> None:
    """Each log event from warning upwards stands in the index, and none that is not logged."""
    trouble = {event for event, (level, *_) in events_in_the_code().items() if level in TROUBLE}
    assert trouble - index(runbook) == set()
    named = {name for name in index(runbook) if "." in name and not name.endswith(".*")}
    assert named - set(events_in_the_code()) == set()


@each
def test_every_answer_is_explained(runbook: str) -> None:
    """Each code that an answer may carry is named with what it means here."""
    codes = names(between(page("docs/errors.md"), "answers"))
    assert [code for code in codes if f"`{code}`" not in page(runbook)] == []


@each
def test_every_exit_code_leads_somewhere(runbook: str) -> None:
    """Each exit code that is no success stands in the index."""
    assert {str(int(code)) for code in Exit} - {"0"} - index(runbook) == set()


@each
def test_every_finding_of_the_doctor_leads_somewhere(runbook: str) -> None:
    """Each subject that the doctor can find something about stands in the index, and no other."""
    subjects = {f"{code.partition('.')[0]}.*" for _, code, _ in worded()} | {"settings.*"}
    assert {name for name in index(runbook) if name.endswith(".*")} == subjects


@each
def test_quoted_messages_are_the_server_s_own(runbook: str) -> None:
    """What the runbook puts in quotes at the head of a line is what the code says, in that language."""
    said = "".join((ROOT / path).read_text(encoding="utf-8") for path, _ in modules())
    with (LOCALES / "ru" / "LC_MESSAGES" / f"{OPERATOR}.po").open("rb") as source:
        said += "".join(str(message.string) for message in read_po(source))
    quoted = re.findall(r'^- (?:"([^"]+)"|«([^»]+)»):', page(runbook), re.MULTILINE)
    assert quoted
    assert [words for pair in quoted for words in pair if words not in said] == []


@each
def test_every_line_of_the_index_leads_to_a_section(runbook: str) -> None:
    """The second cell links a heading of this page (that it is there, the test of links proves)."""
    leading = [row[1] for row in rows(between(page(runbook), "index")) if "alert.opened" not in row[0]]
    assert [cell for cell in leading if not re.search(r"\]\(#", cell)] == []
