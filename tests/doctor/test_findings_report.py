"""How findings are shown to people."""

import pytest

from app.doctor.finding import Finding, Level
from app.doctor.report import show

WELL = Finding("disk.ok", Level.OK, "room enough")
LATER = Finding("account.unpinned", Level.WARN, "not pinned", "Pin it.", "nano .env", fixable=True)
NOW = Finding("dns.private", Level.FAIL, "private address", "Change it.", "dig +short x")


def shown(
    capsys: pytest.CaptureFixture[str], *found: Finding, done: tuple[Finding, ...] = (), fix: bool = False
) -> str:
    show(done, found, "en", fix=fix)
    return capsys.readouterr().out


def test_each_finding_is_a_line_with_its_remedy_below(capsys: pytest.CaptureFixture[str]) -> None:
    """Mark, text and code on one line; remedy and command below it."""
    assert shown(capsys, NOW).startswith(
        "fail  private address  [dns.private]\n      Change it.\n      $ dig +short x\n"
    )


def test_the_next_step_is_that_of_the_worst(capsys: pytest.CaptureFixture[str]) -> None:
    """A fail comes before a warning, wherever it stands."""
    assert shown(capsys, WELL, LATER, NOW).splitlines()[-3:] == [
        "In all: 1 ok, 1 warn, 1 fail.",
        "Some of it this command mends: aisha-webhook doctor --fix",
        "Next: dig +short x",
    ]


def test_a_healthy_installation_has_no_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    """Where all is ok, that is the last word."""
    assert shown(capsys, WELL).splitlines()[-1] == "Everything is in order."


def test_what_was_mended_is_told_first(capsys: pytest.CaptureFixture[str]) -> None:
    """With --fix the repairs stand first, and where there were none that is said."""
    fixed = Finding("envfile.fixed", Level.OK, "closed")
    assert shown(capsys, WELL, done=(fixed,), fix=True).startswith("Mended:\nok    closed  [envfile.fixed]\n\n")
    assert shown(capsys, LATER, fix=True).startswith("There was nothing to mend.\n\n")


def test_what_a_stranger_wrote_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """fault 44: an escape sequence or a line feed inside a finding is shown, not obeyed."""
    hostile = Finding("x", Level.FAIL, "\x1b[31m\nfail", "\x9b2J", "\r\u202e")
    out = shown(capsys, hostile)
    assert "\x1b" not in out
    assert "\x9b" not in out
    assert "\u202e" not in out
    assert out.splitlines()[0] == "fail  \\x1b[31m\\nfail  [x]"
