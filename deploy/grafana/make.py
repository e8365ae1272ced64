"""Writes the dashboard, the alert rules and their tests: `python deploy/grafana/make.py` (part of `make generated`).

What the database says is told by every replica alike, so such gauges are read by `max without(instance)`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.routers.metric_catalog import CATALOG, PREFIX

FOLDER = Path(__file__).parent
UID = "aisha-webhook"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDE, HIGH, SMALL = 8, 8, 4  # of the grid's 24 columns; rows
NOW = 1_000_000  # s; the clock of the rules' tests, in which time() begins at 0, is put there by their series
SHARED = {metric.short for metric in CATALOG if metric.is_shared}


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert. `fires` and `silent` are series (`promtool test rules`) with which it fires, and does not, `at`."""

    alert: str
    expr: str
    wait: str
    severity: str
    summary: str
    runbook: str
    fires: tuple[tuple[str, str], ...]
    silent: tuple[tuple[str, str], ...]
    at: str = "2h"


def shared(short: str, *, but: str = "", **labels: str) -> str:
    """Spell a figure of the database, alike from every replica, with these labels, and not `but` (as 'state done')."""
    assert short in SHARED, short
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    if but:
        name, value = but.split()
        wanted.append(f'{name}!="{value}"')
    selector = "{" + ",".join(wanted) + "}" if wanted else ""
    return f"max without(instance) ({PREFIX}{short}{selector})"


def rate(short: str, by: str, window: str = "5m") -> str:
    """Spell a counter of the processes, as events per second; one of the database is counted once."""
    inner = f"rate({PREFIX}{short}[{window}])"
    return f"sum by({by}) ({f'max without(instance) ({inner})' if short in SHARED else inner})"


def quantile(share: float, short: str, by: str = "") -> str:
    """Spell a quantile of a histogram over all processes."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by({labels}) (rate({PREFIX}{short}_bucket[15m])))"


PENDING = shared("oldest_pending_timestamp_seconds", queue="deliveries")
OWED = shared("oldest_pending_timestamp_seconds", queue="notifications")

RULES = (
    Rule(
        "AishaWebhookAbsent", f"absent({PREFIX}build_info)", "2m", "critical",
        "No process of the webhook server answers /metrics.", "first-look",
        (("up", "1x200"),), ((f'{PREFIX}build_info{{version="1"}}', "1x200"),),
    ),
    Rule(
        "AishaWebhookQueueStands", f"(time() - ({PENDING} > 0)) > 600 unless on() max({PREFIX}orphans) > 0", "2m",
        "critical", "A delivery has waited for more than ten minutes, and none of those that wait is an orphan.",
        "the-queue-stands-still",
        ((f'{PREFIX}oldest_pending_timestamp_seconds{{queue="deliveries",instance="a"}}', "1x200"),
         (f'{PREFIX}orphans{{instance="a"}}', "0x200")),
        ((f'{PREFIX}oldest_pending_timestamp_seconds{{queue="deliveries",instance="a"}}', "1x200"),
         (f'{PREFIX}orphans{{instance="a"}}', "1x200")),
    ),
    Rule(
        "AishaWebhookMessagesWait", f"(time() - ({OWED} > 0)) > 900", "5m", "warning",
        "An owner's message has been due for more than a quarter of an hour.", "messages-are-not-sent",
        ((f'{PREFIX}oldest_pending_timestamp_seconds{{queue="notifications"}}', "1x200"),),
        ((f'{PREFIX}oldest_pending_timestamp_seconds{{queue="notifications"}}', "0x200"),),
    ),
    Rule(
        "AishaWebhookDead", f"{shared('deliveries', state='dead')} > 0", "5m", "warning",
        "Deliveries were set aside and wait for the operator.", "something-is-dead",
        ((f'{PREFIX}deliveries{{state="dead"}}', "1x200"),), ((f'{PREFIX}deliveries{{state="dead"}}', "0x200"),),
    ),
    Rule(
        "AishaWebhookAlertOpen", f"{shared('alerts_open', level='critical')} > 0", "1m", "critical",
        "The server has a critical alert open; the operator's chat says which.", "first-look",
        ((f'{PREFIX}alerts_open{{level="critical"}}', "1x200"),),
        ((f'{PREFIX}alerts_open{{level="critical"}}', "0x200"), (f'{PREFIX}alerts_open{{level="warn"}}', "1x200")),
    ),
    Rule(
        "AishaWebhookNotStored",
        "sum(increase("
        f'{PREFIX}refused_total{{reason=~"keys_unavailable|database_unavailable|internal_error"}}[10m])) > 0',
        "0m", "critical", "Deliveries are answered 503: they cannot be judged or stored.",
        "deliveries-are-answered-503",
        ((f'{PREFIX}refused_total{{reason="database_unavailable"}}', "0+1x200"),),
        ((f'{PREFIX}refused_total{{reason="signature_missing"}}', "0+1x200"),),
    ),
    Rule(
        "AishaWebhookRefusesSigned",
        "sum by(reason) (increase("
        f'{PREFIX}refused_total{{reason=~"timestamp_outside_window|account_foreign|address_not_listed"}}[15m])) > 3',
        "0m", "warning", "Signed deliveries are refused ({{ $labels.reason }}): clock, FAL_USER_ID or proxy.",
        "fals-webhooks-do-not-arrive",
        ((f'{PREFIX}refused_total{{reason="timestamp_outside_window"}}', "0+1x200"),),
        ((f'{PREFIX}refused_total{{reason="timestamp_outside_window"}}', "5x200"),),
    ),
    Rule(
        "AishaWebhookKeysOld", f"time() - {PREFIX}jwks_fetched_timestamp_seconds > 21600", "5m", "warning",
        "fal's keys were not renewed for six hours, or are missing; after a day no delivery is taken.",
        "health-says-keys-missing",
        ((f'{PREFIX}jwks_fetched_timestamp_seconds{{instance="a"}}', "0x600"),),
        ((f'{PREFIX}jwks_fetched_timestamp_seconds{{instance="a"}}', "0+60x600"),), "8h",
    ),
    Rule(
        "AishaWebhookCertificateEnds", f"{PREFIX}certificate_not_after_timestamp_seconds - time() < 14 * 86400", "5m",
        "warning", "The certificate ends in less than two weeks.", "first-look",
        ((f'{PREFIX}certificate_not_after_timestamp_seconds{{instance="a"}}', f"{NOW}x200"),),
        ((f'{PREFIX}certificate_not_after_timestamp_seconds{{instance="a"}}', f"{3 * NOW}x200"),),
    ),
    Rule(
        "AishaWebhookTrainingsHang", f"{shared('jobs_overdue')} > 0", "30m", "warning",
        "Trainings have been at work for hours, or fal has not been heard of them.", "trainings-hang",
        ((f"{PREFIX}jobs_overdue", "1x200"),), ((f"{PREFIX}jobs_overdue", "0x200"),),
    ),
    Rule(
        "AishaWebhookWatchLate",
        f"time() - {shared('chore_last_finished_timestamp_seconds', chore='watch')} > 600", "5m", "critical",
        "No replica has looked after the queue for ten minutes: the worker stands still.", "the-queue-stands-still",
        ((f'{PREFIX}chore_last_finished_timestamp_seconds{{chore="watch"}}', "1x200"),),
        ((f'{PREFIX}chore_last_finished_timestamp_seconds{{chore="watch"}}', "0+60x200"),),
    ),
    Rule(
        "AishaWebhookDatabaseAway", f"increase({PREFIX}collection_errors_total[10m]) > 1", "0m", "critical",
        "The database does not answer.", "deliveries-are-answered-503",
        ((f'{PREFIX}collection_errors_total{{instance="a"}}', "0+1x200"),),
        ((f'{PREFIX}collection_errors_total{{instance="a"}}', "3x200"),),
    ),
    Rule(
        "AishaWebhookDeliveriesLost",
        f"sum(max without(instance) (increase({PREFIX}reconcile_recovered_total[1h]))) > 2", "0m", "warning",
        "fal's deliveries do not reach this server: results had to be fetched.",
        "fals-webhooks-do-not-arrive",
        ((f'{PREFIX}reconcile_recovered_total{{kind="training"}}', "0+1x200"),),
        ((f'{PREFIX}reconcile_recovered_total{{kind="training"}}', "7x200"),),
    ),
    Rule(
        "AishaWebhookTokenRefused",
        f'sum(increase({PREFIX}telegram_sends_total{{outcome="token_refused"}}[10m])) > 0', "0m", "critical",
        "Telegram refuses the bot's token: no owner is told anything.", "messages-are-not-sent",
        ((f'{PREFIX}telegram_sends_total{{kind="ready",outcome="token_refused"}}', "0+1x200"),),
        ((f'{PREFIX}telegram_sends_total{{kind="ready",outcome="sent"}}', "0+1x200"),),
    ),
    Rule(
        "AishaWebhookAcceptSlow", f"{quantile(0.99, 'accept_duration_seconds')} > 2", "10m", "warning",
        "One delivery in a hundred takes over two seconds to be stored; fal waits fifteen.",
        "deliveries-are-answered-503",
        ((f'{PREFIX}accept_duration_seconds_bucket{{le="1.0"}}', "0x200"),
         (f'{PREFIX}accept_duration_seconds_bucket{{le="5.0"}}', "0+9x200"),
         (f'{PREFIX}accept_duration_seconds_bucket{{le="+Inf"}}', "0+9x200")),
        ((f'{PREFIX}accept_duration_seconds_bucket{{le="1.0"}}', "0+9x200"),
         (f'{PREFIX}accept_duration_seconds_bucket{{le="5.0"}}', "0+9x200"),
         (f'{PREFIX}accept_duration_seconds_bucket{{le="+Inf"}}', "0+9x200")),
    ),
)  # fmt: skip

# title, unit, threshold above which it is red, query
STATS = (
    ("Waiting", "short", None, shared("deliveries", state="pending")),
    ("Dead", "short", 1, shared("deliveries", state="dead")),
    ("Orphans", "short", 1, shared("orphans")),
    ("Overdue trainings", "short", 1, shared("jobs_overdue")),
    ("Set back within a day", "short", 1, shared("drift")),
    ("Critical alerts", "short", 1, shared("alerts_open", level="critical")),
    ("Since the last delivery", "s", None, f"time() - ({shared('last_delivery_timestamp_seconds')} > 0)"),
    ("Oldest waiting", "s", 600, f"time() - ({PENDING} > 0)"),
    ("Age of fal's keys", "s", 21_600, f"time() - {PREFIX}jwks_fetched_timestamp_seconds"),
    ("Certificate ends in", "s", None, f"{PREFIX}certificate_not_after_timestamp_seconds - time()"),
    ("Failed answers of the database", "short", 1, f"sum(increase({PREFIX}collection_errors_total[1h]))"),
    ("Version", "short", None, f"{PREFIX}build_info"),
)
# title, unit, queries with their legends
GRAPHS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    ("Received", "reqps", ((rate("received_total", "result"), "{{result}}"),)),
    ("Refused", "reqps", ((rate("refused_total", "reason") + " > 0", "{{reason}}"),)),
    ("Deliveries by state", "short", ((shared("deliveries", but="state done"), "{{state}}"),)),
    (
        "From the last byte to the commit", "s",
        tuple((quantile(share, "accept_duration_seconds"), f"p{share * 100:g}") for share in (0.5, 0.99)),
    ),
    (
        "From arrival to applied, and to told", "s",
        ((quantile(0.95, "received_to_applied_seconds"), "applied p95"),
         (quantile(0.95, "received_to_told_seconds"), "told p95")),
    ),
    (
        "One batch", "s",
        ((quantile(0.95, "apply_duration_seconds"), "apply p95"),),
    ),
    (
        "Deliveries in one commit", "short",
        ((f"sum(rate({PREFIX}commit_rows_sum[5m])) / sum(rate({PREFIX}commit_rows_count[5m]))", "mean"),
         (quantile(0.95, "commit_rows"), "p95")),
    ),
    ("Applied", "cps", ((rate("applied_total", "kind, outcome") + " > 0", "{{kind}} {{outcome}}"),)),
    ("Messages by state", "short", ((shared("notifications", but="state sent"), "{{state}}"),)),
    ("Telegram", "cps", ((rate("telegram_sends_total", "kind, outcome") + " > 0", "{{kind}} {{outcome}}"),)),
    (
        "Questions to fal", "cps",
        ((rate("fal_requests_total", "endpoint, outcome") + " > 0", "{{endpoint}} {{outcome}}"),),
    ),
    ("Open jobs", "short", ((shared("jobs"), "{{kind}} {{stage}}"),)),
    ("How long trainings take", "s", ((quantile(0.5, "training_duration_seconds", "trainer"), "{{trainer}} p50"),)),
    (
        "Fetched, and done by hand", "short",
        ((f"max without(instance) (increase({PREFIX}reconcile_recovered_total[1h]))", "fetched {{kind}}"),
         (f"max without(instance) (increase({PREFIX}operations_total[1h]))", "{{operation}} via {{via}}")),
    ),
    ("Since periodic work ended", "s", ((f"time() - {shared('chore_last_finished_timestamp_seconds')}", "{{chore}}"),)),
)  # fmt: skip


def dashboard() -> str:
    """Spell the dashboard as classic JSON."""
    panels: list[dict[str, Any]] = []
    for place, (title, unit, limit, query) in enumerate(STATS):
        column, row = place % 6 * 4, place // 6 * SMALL
        steps = [{"color": "green", "value": None}, *([] if limit is None else [{"color": "red", "value": limit}])]
        panels.append({
            **_panel(len(panels) + 1, "stat", title, (column, row, 4, SMALL)),
            "fieldConfig": {
                "defaults": {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}}, "overrides": [],
            },
            "options": {
                "reduceOptions": {"calcs": ["lastNotNull"]}, "textMode": "name" if title == "Version" else "value",
            },
            "targets": [_target(query, "{{version}}" if title == "Version" else "")],
        })  # fmt: skip
    top = SMALL * -(-len(STATS) // 6)
    for place, (title, unit, queries) in enumerate(GRAPHS):
        column, row = place % 3 * WIDE, top + place // 3 * HIGH
        panels.append({
            **_panel(len(panels) + 1, "timeseries", title, (column, row, WIDE, HIGH)),
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
            "targets": [_target(query, legend, chr(65 + index)) for index, (query, legend) in enumerate(queries)],
        })  # fmt: skip
    board = {
        "uid": UID,
        "title": "Aisha webhook",
        "tags": ["aisha-webhook"],
        "timezone": "browser",
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": panels,
    }
    return json.dumps(board, indent=2, ensure_ascii=False) + "\n"


def _panel(number: int, kind: str, title: str, place: tuple[int, int, int, int]) -> dict[str, Any]:
    x, y, width, height = place
    return {
        "id": number,
        "type": kind,
        "title": title,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": width, "h": height},
    }


def _target(query: str, legend: str, name: str = "A") -> dict[str, Any]:
    return {"refId": name, "datasource": SOURCE, "expr": query, "legendFormat": legend}


def alerts() -> str:
    """Spell the rules for Prometheus' `rule_files`."""
    lines = ["# Made by deploy/grafana/make.py; `make generated` writes it anew.", "groups:", "  - name: aisha-webhook"]
    lines.append("    rules:")
    for rule in RULES:
        lines += [
            f"      - alert: {rule.alert}",
            f"        expr: {json.dumps(rule.expr)}",
            f"        for: {rule.wait}",
            "        labels:",
            f"          severity: {rule.severity}",
            "        annotations:",
            f"          summary: {json.dumps(rule.summary)}",
            f"          runbook: docs/runbook.md#{rule.runbook}",
        ]
    return "\n".join(lines) + "\n"


def tests_of_alerts() -> str:
    """Spell a firing and a silent test of each rule for `promtool test rules`."""
    lines = ["# Made by deploy/grafana/make.py: promtool test rules alerts.test.yml", "rule_files: [alerts.yml]"]
    lines += ["evaluation_interval: 1m", "tests:"]
    for rule in RULES:
        for word, series in (("fires", rule.fires), ("silent", rule.silent)):
            lines += [f"  - name: {rule.alert} {word}", "    interval: 1m", "    input_series:"]
            for name, values in series:
                lines += [f"      - series: {json.dumps(name)}", f"        values: {json.dumps(values)}"]
            lines += [
                "    promql_expr_test:",
                f'      - expr: \'count(ALERTS{{alertname="{rule.alert}",alertstate="firing"}})\'',
            ]
            lines.append(f"        eval_time: {rule.at}")
            lines += (
                ["        exp_samples:", "          - value: 1"] if word == "fires" else ["        exp_samples: []"]
            )
    return "\n".join(lines) + "\n"


FILES = {"dashboard.json": dashboard, "alerts.yml": alerts, "alerts.test.yml": tests_of_alerts}


def main() -> None:
    """Write all three beside this file."""
    for name, spell in FILES.items():
        (FOLDER / name).write_text(spell(), encoding="utf-8")


if __name__ == "__main__":
    main()
