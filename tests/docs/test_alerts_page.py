"""docs/alerts.md names what may alarm, no more and no less."""

from app.domain.alert import REMEDY, Condition
from tests.docs.project import between, names, page, rows


def test_every_condition_is_explained() -> None:
    """The table has each condition, in the order of the code."""
    assert names(between(page("docs/alerts.md"), "conditions")) == [condition.value for condition in Condition]


def test_every_condition_has_its_command() -> None:
    """What the page says to run first is what the message says."""
    commands = {row[0].strip("`"): row[4].strip("`") for row in rows(between(page("docs/alerts.md"), "conditions"))}
    assert commands == {str(condition): remedy for condition, remedy in REMEDY.items()}
