"""docs/metrics.md, the dashboard and the rules name the metrics that there are; the rules fire when they should."""

import json
import re
import runpy
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from app.catalog import translate
from app.domain.language import Language
from app.domain.refusal_words import WORDS
from app.routers.metric_catalog import CATALOG, PREFIX
from app.routers.openapi import EVERYWHERE, WEBHOOK
from tests.docs.project import ROOT, between, page, program, rows

FOLDER = ROOT / "deploy" / "grafana"
REMEDY = "apt install prometheus"


@pytest.fixture(scope="module")
def made() -> dict[str, Callable[[], str]]:
    files: dict[str, Callable[[], str]] = runpy.run_path(str(FOLDER / "make.py"))["FILES"]
    return files


def named(text: str) -> set[str]:
    """Name the metrics that a text speaks of, without what a histogram's series have behind their name."""
    found = re.findall(rf"{PREFIX}(\w+)", text)
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in found}


def test_the_page_explains_every_metric() -> None:
    """Each metric stands in the table with its kind and labels, in the catalog's order, and no other."""
    told = [tuple(row[:3]) for row in rows(between(page("docs/metrics.md"), "metrics"))]
    assert told == [
        (f"`{metric.short}`", f"{metric.kind}{', shared' if metric.is_shared else ''}", ", ".join(metric.labels))
        for metric in CATALOG
    ]


def test_counters_and_only_they_end_in_total() -> None:
    """The names follow Prometheus' conventions."""
    assert {metric.short for metric in CATALOG if metric.kind == "counter"} == {
        metric.short for metric in CATALOG if metric.short.endswith("_total")
    }


@pytest.mark.parametrize("name", ["dashboard.json", "alerts.yml", "alerts.test.yml"])
def test_the_files_are_what_the_script_makes(made: dict[str, Callable[[], str]], name: str) -> None:
    """Nobody has edited them by hand, or forgotten `make generated`."""
    assert (FOLDER / name).read_text(encoding="utf-8") == made[name]()


def test_every_metric_is_drawn() -> None:
    """The dashboard shows each metric, and none that does not exist."""
    assert named(page("deploy/grafana/dashboard.json")) == {metric.short for metric in CATALOG}


def test_the_rules_speak_of_metrics_that_exist() -> None:
    """A rule about a metric that was renamed would never fire."""
    assert named(page("deploy/grafana/alerts.yml")) <= {metric.short for metric in CATALOG}


def test_what_every_replica_tells_is_not_added_up() -> None:
    """Neither the dashboard nor a rule reads a shared metric otherwise than by its maximum over the replicas."""
    shared = [metric.name for metric in CATALOG if metric.is_shared]
    text = page("deploy/grafana/dashboard.json") + page("deploy/grafana/alerts.yml").replace(
        f"on() max({PREFIX}orphans)", ""
    )
    for name in shared:
        for found in re.finditer(rf"{name}\b", text):
            before = text[max(0, found.start() - 60) : found.start()]
            assert re.search(r"max without\(instance\) \((?:rate\(|increase\()?$", before), (name, before)


def test_the_dashboard_is_portable() -> None:
    """A fixed uid, one variable for the data source, every panel on it, and no two panels in one place."""
    board: dict[str, Any] = json.loads(page("deploy/grafana/dashboard.json"))
    assert board["uid"] == "aisha-webhook"
    assert [variable["type"] for variable in board["templating"]["list"]] == ["datasource"]
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {"${datasource}"}
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places)
    assert max(panel["gridPos"]["x"] + panel["gridPos"]["w"] for panel in board["panels"]) <= 24


def test_each_rule_fires_and_is_silent() -> None:
    """promtool finds each rule firing in one case and silent in another."""
    alerts = re.findall(r"- alert: (\w+)", page("deploy/grafana/alerts.yml"))
    cases = re.findall(r"- name: (\w+) (\w+)", page("deploy/grafana/alerts.test.yml"))
    assert sorted(cases) == sorted((alert, word) for alert in alerts for word in ("fires", "silent"))
    promtool = program("promtool", REMEDY)
    for arguments in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]):
        judged = subprocess.run([promtool, *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
        assert judged.returncode == 0, judged.stdout + judged.stderr


def test_each_rule_leads_to_a_page_that_exists() -> None:
    """The runbook has the heading that an alert's annotation names."""
    heads = {
        re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-")
        for head in re.findall(r"^## (.+)$", page("docs/runbook.md"), re.MULTILINE)
    }
    led = re.findall(r"runbook: docs/runbook.md#(\S+)", page("deploy/grafana/alerts.yml"))
    assert led
    assert set(led) <= heads


def test_every_refusal_has_its_sentence() -> None:
    """What a delivery may be refused with is said in plain words, and no sentence is left over."""
    connections = {"connections_full", "connections_share", "plain_http"}
    refused = {code for told in (EVERYWHERE, WEBHOOK) for codes in told.values() for code in codes}
    assert set(WORDS) - connections == refused


@pytest.mark.parametrize("language", ["ru", "en"])
def test_a_sentence_is_a_sentence(language: Language) -> None:
    """Each begins with a capital or a name, ends with a full stop, and fits a line of a terminal or two."""
    for code, words in WORDS.items():
        assert translate(words, language).endswith("."), code
        assert len(translate(words, language)) < 140, code
