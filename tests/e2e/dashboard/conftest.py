"""Debian's Chromium before the real server, over TLS."""

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app.db.engine import open_database
from tests.browser import chromium
from tests.dashboard.conftest import TOKEN
from tests.dashboard.rows import a_day, seeded_at
from tests.e2e.serving import Served, serving, short_lived

HERE = Path(__file__).parent
AXE = HERE / "axe" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
WATCH = """
window.__violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.__violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
});
"""


@dataclass
class Tab:
    """One tab of an operator's browser, and what it complained about."""

    page: Any
    cdp: Any
    base: str
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        self.page.goto(f"{self.base}{path}", wait_until="load")

    def run(self, script: str) -> Any:
        """Evaluate past the page's policy, as the browser's own tools do."""
        asked = {"expression": script, "awaitPromise": True, "returnByValue": True}
        answer = self.cdp.send("Runtime.evaluate", asked)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def login(self) -> None:
        self.go("/dashboard/login")
        self.page.fill("input[name=token]", TOKEN)
        self.page.fill("input[name=name]", "Aizhan")
        self.page.click("button[type=submit]")
        self.page.wait_for_url("**/dashboard")

    def prefer(self, name: str, value: str) -> None:
        self.page.evaluate("document.querySelector('details.menu').open = true")
        with self.page.expect_navigation():
            self.page.click(f"button[name={name}][value={value}]")

    def axe(self, rules: list[str] | None = None, within: str = "document") -> list[str]:
        """List what axe finds, as `rule: selector: why`."""
        if not self.run("typeof axe === 'object'"):
            self.run(AXE.read_text(encoding="utf-8") + "; true")
        only = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": TAGS}
        found = self.run(f"axe.run({within}, {json.dumps({'runOnly': only})}).then(r => JSON.stringify(r.violations))")
        return [
            f"{one['id']}: {node['target']}: {node['failureSummary']}"
            for one in json.loads(found)
            for node in one["nodes"]
        ]

    def quiet(self) -> list[str]:
        """List what went against the policy, ran, or was complained about since the last look."""
        found = [*self.complaints, *self.run("window.__violations")]
        self.complaints.clear()
        return [*found, *(["a stranger's script ran"] if self.run("window.__pwned") is not None else [])]


OpenTab = Callable[..., Tab]


@contextmanager
def seeded(folder: Path, odd: str | None = None, **settings: str) -> Iterator[Served]:
    """Run a server whose database holds a day's rows."""
    url = f"sqlite:///{folder}/aisha.db"
    pair = short_lived(folder)
    settings = {"DATABASE_URL": url, "DASHBOARD_TOKEN": TOKEN, "MIGRATE_ON_START": "true", **settings}
    with serving(folder / "server", pair, **settings) as served:

        async def fill() -> None:
            database = open_database(url)
            await database.write(a_day, seeded_at(), **({} if odd is None else {"odd": odd}))
            await database.close()

        with ThreadPoolExecutor(1) as apart:  # playwright has a loop of its own in this thread
            apart.submit(asyncio.run, fill()).result()
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with seeded(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture
def open_tab(browser: Any) -> Iterator[OpenTab]:
    contexts = []

    def start(served: Served, **options: Any) -> Tab:
        context = browser.new_context(
            ignore_https_errors=True, **{"viewport": {"width": 1280, "height": 900}, **options}
        )
        contexts.append(context)
        context.add_init_script(WATCH)
        page = context.new_page()
        tab = Tab(page, context.new_cdp_session(page), f"https://localhost:{served.port}")
        page.on("dialog", lambda dialog: tab.complaints.append(f"dialog: {dialog.message}"))
        page.on("pageerror", lambda error: tab.complaints.append(f"error: {error}"))
        page.on(
            "console",
            lambda said: tab.complaints.append(said.text) if said.type == "error" else None,
        )
        return tab

    yield start
    for context in contexts:
        context.close()
