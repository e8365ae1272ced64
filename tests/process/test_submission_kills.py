"""kill -9 at every step of a submission, in a process of its own, against a twin of fal (fault 55)."""

import asyncio
import signal
import sys
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from app.db.engine import open_database
from app.db.schema import find_bot_tables
from app.db.tables import jobs
from app.fal.client import make_client
from app.fal.submit import FalSubmitApi
from app.flows.sweep import Sweep
from app.twins.fal import FalTwin
from tests.docs.project import ROOT
from tests.factories import Bot
from tests.fakes import FrozenClock

pytestmark = pytest.mark.anyio

KEY = "key-id:key-secret"
STEPS = ("before the row", "before the request", "after fal took it", "before the record", "after the record")
CHILD = """
import asyncio, os, signal, sys

from app.bootstrap.submitting import submitting
from app.core.config import Settings
from app.db import submissions
from app.domain.trainer import Trainer
from app.fal.submit import FalSubmitApi
from app.flows.submit import WantedTraining

step, avatar, database, fal = sys.argv[1:]


def at(name):
    if name == step:
        os.kill(os.getpid(), signal.SIGKILL)


begin, answered, submit = submissions.begin, submissions.answered, FalSubmitApi.submit


def begin_or_die(*args, **more):
    at("before the row")
    return begin(*args, **more)


def answered_or_die(*args, **more):
    answered(*args, **more)
    at("before the record")  # written, not committed


async def submit_or_die(*args):
    at("before the request")
    said = await submit(*args)
    at("after fal took it")
    return said


submissions.begin, submissions.answered, FalSubmitApi.submit = begin_or_die, answered_or_die, submit_or_die
settings = Settings(database_url=database, fal_queue_url=fal, fal_api_url=fal, fal_api_key="key-id:key-secret")


async def main():
    async with submitting(settings) as (parts, _):
        wanted = WantedTraining(avatar, "https://photos.example/%s.zip" % avatar, Trainer.PORTRAIT, "k1")
        print(await parts.submit(wanted), flush=True)
        at("after the record")


asyncio.run(main())
"""


@pytest.mark.parametrize("step", STEPS)
async def test_a_killed_submission_is_sent_once_and_joined_or_said(sqlite_url: str, step: str) -> None:
    """fault 55: fal has at most one job of it; the next process finds it in fal's list, or says that none is known."""
    database = open_database(sqlite_url)
    fal = FalTwin(api_key=KEY)
    async with fal.serve() as url, make_client() as client:
        avatar = await Bot(database).train("", status="ready_for_training")
        for turn in (step, ""):  # killed, then asked for again by a bot that heard nothing
            arguments = (sys.executable, "-c", CHILD, turn, avatar, sqlite_url, url)
            child = await asyncio.create_subprocess_exec(
                *arguments, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
            )
            _, complaint = await child.communicate()
            assert child.returncode == -signal.SIGKILL or not turn, complaint.decode()
        clock = FrozenClock(datetime.now(UTC) + timedelta(seconds=61))  # noqa: TID251  the child reads the real time
        desk = FalSubmitApi(url, url, KEY, client)
        tables = await find_bot_tables(database)
        sweep = Sweep(database, tables, desk, clock, lease=timedelta(seconds=60), after=timedelta(seconds=120))
        await sweep()
        with database.engine.connect().execution_options(write=False) as connection:
            [job] = connection.execute(select(jobs)).mappings().all()
        row = await Bot(database).avatar(avatar)
        if step == "before the request":
            assert (fal.submissions, job["reason"], row["word"]) == ([], "submit_unknown", "ready_for_training")
        else:
            [taken] = fal.submissions
            assert (job["request_id"], row["fal_request_id"], row["word"]) == (
                taken.request_id,
                taken.request_id,
                "training",
            )
    await database.close()
