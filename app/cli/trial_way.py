"""The way of one trial delivery: read the key, sign, post, then watch its rows until it is told."""

import asyncio
import hashlib
import http.client
import secrets
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import orjson

from app.db import operator_queries
from app.db.engine import Database
from app.db.operator_queries import Queue
from app.doctor.host.asking import Reply, Target, ask
from app.domain.delivery import milliseconds
from app.fal import own_key
from app.files.ownership import ownership_of
from app.flows.trial import PATH

SECONDS = 30  # for all that happens after the answer
PAUSE = 0.05  # s between two looks
SOON = 2.0  # s within which the row must be seen: it was committed before the answer

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One step that was taken: its code in STEPS, what it found, and how long it took in ms."""

    code: str
    ms: float
    facts: Facts = field(default_factory=dict)


class TrialFailed(Exception):
    """A step could not be taken. `code` is one of FAILED, `facts` fill its sentence and its command."""

    def __init__(self, code: str, **facts: object) -> None:
        super().__init__(code)
        self.code = code
        self.facts: Facts = facts


@dataclass(frozen=True, slots=True)
class Trial:
    """What to try: which server, with the key in which folder, and under which request id."""

    target: Target
    data_dir: Path
    has_port: bool = False
    request_id: str = field(default_factory=lambda: f"test-{secrets.token_hex(12)}")

    @property
    def url(self) -> str:
        """Where the server is asked."""
        host = f"[{self.target.address}]" if ":" in self.target.address else self.target.address
        return f"http{'s' if self.target.tls else ''}://{host}:{self.target.port}"

    def key_path(self) -> Path:
        """Find the key: a replica has a folder of its own below DATA_DIR, named after its port."""
        own = self.data_dir / str(self.target.port) / own_key.FILE
        return own if own.parent.is_dir() else self.data_dir / own_key.FILE


async def walk(trial: Trial, database: Database, took: Callable[[Step], None]) -> None:
    """Take every step, telling each to `took`. Raises TrialFailed at the first that fails."""
    began = time.monotonic()
    headers, body = _signed(trial, took)
    reply = await asyncio.to_thread(_post, trial, body, headers)
    _check(trial, reply)
    answered = time.monotonic()
    took(Step("answered", round((answered - began) * 1000, 1), {"status": reply.status}))
    delivery = await _stored(database, trial, answered)
    took(Step("stored", milliseconds(delivery["received_at"], delivery["stored_at"]), {"delivery": delivery["id"]}))
    delivery = await _applied(database, trial, answered)
    ended: datetime = delivery["finished_at"]
    took(Step("applied", milliseconds(delivery["stored_at"], ended), {"reason": delivery["reason"]}))
    took(await _told(database, trial, answered, ended))


def _signed(trial: Trial, took: Callable[[Step], None]) -> tuple[dict[str, str], bytes]:
    path, began = trial.key_path(), time.monotonic()
    try:
        key = own_key.load(path)
    except FileNotFoundError:
        replicas = sorted(found.parent.name for found in trial.data_dir.glob(f"*/{own_key.FILE}"))
        if replicas and not trial.has_port:
            raise TrialFailed("replica_key", port=replicas[0]) from None
        raise TrialFailed("no_key", path=path) from None
    except PermissionError:
        raise TrialFailed("key_closed", path=path, owner=ownership_of(path).sudo_name) from None
    except (OSError, ValueError):
        raise TrialFailed("key_broken", path=path) from None
    took(Step("key", round((time.monotonic() - began) * 1000, 1), {"path": str(path)}))
    body = orjson.dumps({"request_id": trial.request_id, "status": "OK", "payload": {}})
    digest = hashlib.sha256(body).hexdigest()
    # The server judges it by this machine's clock as well.
    return own_key.sign(key, trial.request_id, int(time.time()), digest), body


def _post(trial: Trial, body: bytes, headers: Mapping[str, str]) -> Reply:
    try:
        try:
            return ask(trial.target, "POST", PATH, body, headers)
        except ssl.SSLError:
            if not trial.has_port:
                raise
            # A replica behind nginx speaks plain HTTP on loopback.
            return ask(replace(trial.target, tls=False), "POST", PATH, body, headers)
    except (OSError, http.client.HTTPException) as error:
        raise TrialFailed("no_server", url=trial.url, why=str(error) or type(error).__name__) from None


def _check(trial: Trial, reply: Reply) -> None:
    if reply.status == HTTPStatus.OK:
        return
    try:
        document = orjson.loads(reply.body)
        code = str(document["code"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        code = ""
    if reply.status == HTTPStatus.NOT_FOUND:
        raise TrialFailed("unknown_path", url=trial.url)
    if code in ("signature_invalid", "signatures_failing"):
        raise TrialFailed("other_key", url=trial.url, folder=trial.key_path().parent)
    if code == "address_not_listed":
        raise TrialFailed("not_local", url=trial.url)
    raise TrialFailed("refused", url=trial.url, status=reply.status, answer=code)


async def _stored(database: Database, trial: Trial, since: float) -> dict[str, Any]:
    while True:
        if rows := await database.read(operator_queries.find, Queue.DELIVERIES, trial.request_id):
            return rows[0]
        if time.monotonic() - since > SOON:
            raise TrialFailed("other_database")
        await asyncio.sleep(PAUSE)


async def _applied(database: Database, trial: Trial, since: float) -> dict[str, Any]:
    while True:
        [row] = await database.read(operator_queries.find, Queue.DELIVERIES, trial.request_id)
        if row["state"] == "done":
            return row
        if row["state"] != "pending" or time.monotonic() - since > SECONDS:
            why = row["reason"] or row["state"]
            raise TrialFailed("not_applied", delivery=row["id"], seconds=SECONDS, why=why)
        await asyncio.sleep(PAUSE)


async def _told(database: Database, trial: Trial, since: float, applied_at: datetime) -> Step:
    """Watch the message. Where none is owed, the operator has no chat."""
    while True:
        rows = await database.read(operator_queries.find, Queue.NOTIFICATIONS, trial.request_id)
        if not rows:
            return Step("no_chat", 0.0)
        [row] = rows
        if row["state"] in ("sent", "unsent"):
            facts = {name: row[name] for name in ("message_id", "chat_id")}
            return Step(row["state"], milliseconds(applied_at, row["finished_at"]), facts)
        if row["state"] != "pending" or time.monotonic() - since > SECONDS:
            detail = f": {row['detail']}" if row["detail"] else ""
            why = row["reason"] or row["state"]
            raise TrialFailed("not_sent", notification=row["id"], why=why, detail=detail)
        await asyncio.sleep(PAUSE)
