"""What an operator does, in a browser: log in by a link, rehearse, act, copy, pause, see changes come."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.dashboard.conftest import TOKEN
from tests.e2e.dashboard.conftest import OpenTab, Tab, seeded
from tests.e2e.dashboard.test_pages_in_chromium import DESKTOP, PHONE
from tests.e2e.serving import Served
from tests.process.conftest import ROOT

VIEWS = ((DESKTOP, "light", "en"), (PHONE, "dark", "ru"))
SOON = 10_000  # ms


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Served]:
    """A server whose rows the test may change."""
    with seeded(tmp_path) as running:
        yield running


def database(served: Served) -> Path:
    return served.folder.parent / "aisha.db"


def change(served: Served, statement: str) -> list[Any]:
    with closing(sqlite3.connect(database(served), timeout=30)) as connection, connection:
        return connection.execute(statement).fetchall()


def link(served: Served) -> str:
    """Ask the command for a link; return the path that it opens."""
    environment = {
        "DATABASE_URL": f"sqlite:///{database(served)}",
        "DASHBOARD_TOKEN": TOKEN,
        "PYTHONPATH": str(ROOT),
        "DEFAULT_LANGUAGE": "en",
    }
    command = [sys.executable, "-m", "app.cli", "dashboard-link"]
    said = subprocess.run(command, cwd=served.folder, env=environment, check=True, capture_output=True, text=True)
    return f"/dashboard{said.stdout.strip().partition('/dashboard')[2]}"


def act(tab: Tab, operation: str, why: str) -> None:
    """Rehearse, give the reason, and do it."""
    with tab.page.expect_navigation():
        tab.page.click(f"form:has(input[value={operation}]) button")
    assert tab.axe() == []
    tab.page.fill("input[name=why]", why)
    with tab.page.expect_navigation():
        tab.page.click("button.danger")
    assert tab.axe() == []


@pytest.mark.parametrize(("size", "theme", "language"), VIEWS)
def test_an_operator_acts(own: Served, open_tab: OpenTab, size: dict[str, int], theme: str, language: str) -> None:
    """One row and a whole search are dealt with after a rehearsal; who did it and why stands in the history."""
    tab = open_tab(own, viewport=size)
    tab.go(link(own))
    with tab.page.expect_navigation():
        tab.page.click("button[type=submit]")
    tab.prefer("theme", theme)
    tab.prefer("language", language)
    tab.go("/dashboard/deliveries/61")
    act(tab, "ignore", "a first one")
    tab.go("/dashboard/deliveries?q=state:dead")
    assert tab.page.locator("[data-row]").count() == 2
    act(tab, "ignore", "<b>all of them</b>")
    tab.go("/dashboard/history")
    lines = tab.page.locator("[data-row]").all_inner_texts()
    assert [("a first one" in line, "<b>all of them</b>" in line) for line in lines] == [
        (False, True),
        (False, True),
        (True, False),
    ]
    assert {state for (state,) in change(own, "SELECT state FROM webhook_deliveries WHERE id > 60")} == {"ignored"}
    assert tab.quiet() == []


def test_a_command_is_copied(own: Served, open_tab: OpenTab) -> None:
    """What mends a row goes to the clipboard as it stands."""
    tab = open_tab(own, permissions=["clipboard-read", "clipboard-write"])
    tab.login()
    tab.go("/dashboard/deliveries/61")
    button = tab.page.locator("[data-copy='#remedy-command']")
    button.click()
    tab.page.wait_for_function("document.querySelector(\"[data-copy='#remedy-command']\").textContent === 'Copied'")
    copied = tab.run("navigator.clipboard.readText()")
    assert copied == tab.page.inner_text("#remedy-command")
    assert copied.endswith("deliveries ignore 61")


def test_changes_come_by_themselves_until_paused(own: Served, open_tab: OpenTab) -> None:
    """A page shows what has changed without being asked; paused it stays as it is, and catches up afterwards."""
    tab = open_tab(own)
    tab.login()
    tab.go("/dashboard/deliveries?q=state:dead")
    rows = tab.page.locator("[data-row]")
    assert rows.count() == 3
    tab.page.wait_for_selector("#live-state:not(:empty)")
    tab.page.wait_for_timeout(3_000)  # the stream has taken its first look
    dead = "UPDATE webhook_deliveries SET state = 'dead', reason = 'conflict' WHERE id = {number}"
    counted = "UPDATE webhook_totals SET amount = amount + 1 WHERE name = 'deliveries.dead'"
    for statement in (dead, counted):
        change(own, statement.format(number=1))
    tab.page.wait_for_selector("#row-1", timeout=SOON)
    tab.page.click("#pause")
    for statement in (dead, counted):
        change(own, statement.format(number=2))
    tab.page.wait_for_timeout(3_000)
    assert rows.count() == 4
    tab.page.click("#pause")
    tab.page.locator("h1").click()  # what has the focus is not taken away
    tab.page.wait_for_selector("#row-2", timeout=SOON)
    assert tab.quiet() == []
