"""docs/errors.md and docs/logging.md name what the code names, no more and no less."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.exit_codes import Exit
from app.db.overtaking import SENDING
from app.domain.delivery import DeliveryState
from app.domain.look import Trouble
from app.domain.notification import NotificationState
from app.domain.promise import Hold
from tests.docs.project import between, calls, constants, modules, names, page, rows

# where a name stands among the arguments of what takes it
CODE_AT = {
    "DeliveryRefused": 1,
    "JobRefused": 1,
    "AccessRefused": 1,
    "problem": 1,
    "problem_body": 1,
    "_unavailable": 0,
}
REASON_AT = {
    "PayloadUnreadable": 0,
    "ResultUnavailable": 0,
    "Bury": 0,
    "Done": 0,
    "Retry": 1,
    "retry_or_bury": 0,
    "wait_out": 0,
    "postpone": 1,
}
CLAIMING = ("app/flows/notify/claiming.py",)
NOTIFYING = {
    "app/db/promises.py",
    "app/domain/send_policy.py",
    "app/db/outbox.py",
    "app/db/overtaking.py",
    "app/db/owed.py",
    "app/flows/notify/claiming.py",
}
OF_JOBS = {"app/db/submissions.py"}
BOTH = {"app/db/operator_queries.py", "app/db/copy_database.py"}
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}


def codes_in_the_code() -> set[str]:
    found = {
        code
        for _, name, call in calls()
        if name in CODE_AT and len(call.args) > CODE_AT[name]
        for code in constants(call.args[CODE_AT[name]])
    }
    for _, module in modules():
        for node in ast.walk(module):
            match node:
                case ast.ClassDef(bases=[ast.Name(id="Unavailable")], body=body):
                    found |= {code for line in body if isinstance(line, ast.Assign) for code in constants(line.value)}
                case ast.AnnAssign(annotation=ast.Name(id="HttpRefusal"), value=ast.Tuple(elts=[_, code, _])):
                    found |= set(constants(code))
                case ast.Assign(targets=[ast.Name(id="CODES")], value=ast.Dict(values=values)):
                    found |= {code for value in values for code in constants(value)}
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="CODES"), attr="get"), args=[_, ast.Constant(value=str(code))]
                ):
                    found.add(code)
    return found


def reasons_in_the_code() -> tuple[set[str], set[str]]:
    """Reasons of deliveries, reasons of notifications."""
    deliveries: set[str] = set()
    notifications: set[str] = {SENDING, *(hold.value for hold in Hold)}
    for path, reasons in (*_given_to_calls(), *_put_into_columns()):
        if path.as_posix() not in NOTIFYING | OF_JOBS:
            deliveries |= reasons
        if path.as_posix() in NOTIFYING | BOTH:
            notifications |= reasons
    return deliveries, notifications


def _given_to_calls() -> Iterator[tuple[Path, set[str]]]:
    for path, name, call in calls():
        if name in REASON_AT and len(call.args) > REASON_AT[name]:
            yield path, set(constants(call.args[REASON_AT[name]]))
        if name == "case":
            yield path, {text for word in call.keywords if word.arg == "else_" for text in constants(word.value)}
        if name == "values":
            yield path, {text for word in call.keywords if word.arg == "reason" for text in constants(word.value)}


def _put_into_columns() -> Iterator[tuple[Path, set[str]]]:
    """Reasons that stand in a dictionary of columns, also by the name of a constant of the module."""
    for path, module in modules():
        named = {
            target.id: set(constants(line.value))
            for line in module.body
            if isinstance(line, ast.Assign)
            for target in line.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(module):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == "reason":
                        yield path, set(constants(value)) | named.get(getattr(value, "id", ""), set())


def events_in_the_code() -> dict[str, tuple[str, set[str], bool]]:
    """Level, fields and whether a traceback comes with it, by event."""
    events: dict[str, tuple[str, set[str], bool]] = {}
    for path, name, call in calls():
        match call:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="log" | "_log")), args=[ast.Constant(value=str(event)), *_]
            ) if name in LEVELS:
                pass
            case _:
                continue
        level = "error" if name == "exception" else name
        words = {keyword.arg for keyword in call.keywords if keyword.arg is not None}
        _, fields, traced = events.get(event, (level, set(), False))
        assert event not in events or events[event][0] == level, f"{path}: {event} has two levels"
        traced = traced or name == "exception" or "exc_info" in words
        events[event] = (level, fields | words - {"exc_info"}, traced)
    return events


def test_every_code_is_explained() -> None:
    """A code that an answer may carry stands in docs/errors.md, and none stands there that no answer carries."""
    table = between(page("docs/errors.md"), "answers")
    assert sorted(names(table)) == sorted(codes_in_the_code())


def test_every_code_has_its_status() -> None:
    """Each code stands with the status that the code gives it."""
    statuses = {row[0].strip("`"): row[1] for row in rows(between(page("docs/errors.md"), "answers"))}
    for path, name, call in calls():
        match call:
            case ast.Call(args=[ast.Constant(value=int(status)), ast.Constant(value=str(code)), *_]) if name in {
                "DeliveryRefused",
                "JobRefused",
                "AccessRefused",
            }:
                assert statuses[code] == str(status), f"{path}: {code}"


def test_every_reason_of_a_delivery_is_explained() -> None:
    """docs/errors.md explains each reason that a delivery may have, and no other."""
    deliveries, _ = reasons_in_the_code()
    assert sorted(names(between(page("docs/errors.md"), "delivery-reasons"))) == sorted(deliveries)


def reasons_of_jobs() -> set[str]:
    """Why fal said nothing, and how a look ends or leaves a job."""
    reasons = {trouble.value for trouble in Trouble}
    for path, name, call in calls():
        if name == "End" and len(call.args) > 1:
            reasons |= set(constants(call.args[1]))
        if name == "Wait" and path.as_posix() == "app/flows/ask.py":
            reasons |= set(constants(call.args[1]))
    for path, found in _put_into_columns():
        reasons |= found if path.as_posix() in OF_JOBS else set()
    return reasons


def test_every_reason_of_a_job_is_explained() -> None:
    """docs/errors.md explains each reason that a look may leave on a job, and no other."""
    assert sorted(names(between(page("docs/errors.md"), "job-reasons"))) == sorted(reasons_of_jobs())


def test_every_reason_of_a_notification_is_explained() -> None:
    """docs/errors.md explains each reason that a notification may have, and no other."""
    _, notifications = reasons_in_the_code()
    assert sorted(names(between(page("docs/errors.md"), "notification-reasons"))) == sorted(notifications)


@pytest.mark.parametrize(
    ("mark", "states"), [("delivery-reasons", DeliveryState), ("notification-reasons", NotificationState)]
)
def test_reasons_stand_with_states_that_exist(mark: str, states: type[DeliveryState] | type[NotificationState]) -> None:
    """The column of states holds words that a row's state can have."""
    for row in rows(between(page("docs/errors.md"), mark)):
        assert set(row[1].split(", ")) <= {str(state) for state in states}, row[0]


def test_every_exit_code_is_explained() -> None:
    """docs/errors.md lists the exit codes of the commands and of the server, and no other."""
    table = rows(between(page("docs/errors.md"), "exit-codes"))
    assert {int(row[0]) for row in table} == set(map(int, Exit))


@pytest.mark.parametrize("runbook", ["docs/runbook.md", "docs/runbook.ru.md"])
def test_every_dead_reason_stands_in_the_runbook(runbook: str) -> None:
    """Whoever finds a dead row reads in the runbook what mends it; `unreadable` is a guard that nobody meets."""
    explained = set(names(between(page(runbook), "dead")))
    for mark in ("delivery-reasons", "notification-reasons"):
        dead = {row[0].strip("`") for row in rows(between(page("docs/errors.md"), mark)) if "dead" in row[1]}
        assert dead - {"unreadable"} <= explained


def test_every_state_is_drawn() -> None:
    """docs/lifecycle.md draws and explains each state of both queues."""
    delivery, _, notification = page("docs/lifecycle.md").partition("## A notification")
    assert {str(state) for state in DeliveryState} == set(names(delivery.partition("## What is decided")[0]))
    assert {str(state) for state in NotificationState} == set(names(notification))


def test_every_log_event_is_explained() -> None:
    """docs/logging.md has each event that the code logs, and no other."""
    assert sorted(names(between(page("docs/logging.md"), "events"))) == sorted(events_in_the_code())


def test_every_log_event_has_its_level_and_fields() -> None:
    """docs/logging.md gives each event its level, names every field that the code spells out, and marks tracebacks."""
    events = events_in_the_code()
    for event, level, fields, _ in rows(between(page("docs/logging.md"), "events")):
        name = event.partition("`")[2].partition("`")[0]
        expected_level, expected_fields, traced = events[name]
        assert level == expected_level, name
        assert expected_fields <= set(re.findall(r"\w+", fields)), name
        assert traced is ("†" in event), name
