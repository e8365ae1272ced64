"""The real server, a bot that registers generations, twins of Telegram and the CDN: each chat gets what it should."""

import asyncio
from collections import Counter

import httpx2
import pytest
from sqlalchemy import func, select

from app.db.engine import Connection, Database
from app.db.tables import jobs, notifications
from app.flows.kinds import GENERATION_PATH
from app.twins import bodies
from app.twins.cdn import MISSING, CdnTwin
from app.twins.fal_queue import FalJob
from app.twins.sender import FalSender
from app.twins.signing import ACCOUNT
from app.twins.telegram import TelegramMessage
from app.twins.telegram_faults import rate_limited
from tests.factories import BotOfImages
from tests.process.conftest import Outside, StartServer

pytestmark = pytest.mark.anyio

TOKEN = "t" * 40
MANY = 100
ENDPOINT = "fal-ai/flux-lora"
HEARD_WITHIN = 120  # s on a slow and busy machine
SETTINGS = {"API_TOKEN": TOKEN, "RECONCILE_AFTER": "2", "RECONCILE_EVERY": "1", "POLL_INTERVAL": "0.1"}


def count_of(number: int) -> int:
    return (1, 4, 10)[number % 3]


def flagged_of(number: int) -> set[int]:
    """Of every fifth job the first image is flagged; of one job in twenty all are."""
    if number % 20 == 7:
        return set(range(count_of(number)))
    return {0} if number % 5 == 0 and count_of(number) > 1 else set()


def way_of(number: int) -> str:
    """How the images must reach the chat: every way in turn."""
    return ("url", "upload", "url", "links")[number % 4] if flagged_of(number) != set(range(count_of(number))) else "no"


def is_fetched(number: int) -> bool:
    """The webhook of every third job never comes: its result is fetched."""
    return number % 3 == 1 or number % 7 == 0


def urls_of(number: int) -> list[str]:
    payload = bodies.images(bodies.job_id(number), count_of(number))
    return [image["url"] for index, image in enumerate(payload["images"]) if index not in flagged_of(number)]


def is_right(number: int, message: TelegramMessage) -> bool:
    urls = urls_of(number)
    match way_of(number):
        case "url":
            return list(message.photos) == urls
        case "upload":
            return list(message.photos) == [f"upload:{bodies.IMAGE_BYTES}"] * len(urls)
        case "links":
            return not message.photos and message.text.count("<a href=") == len(urls)
        case _:
            return not message.photos and "check" in message.text


def prepare(outside: Outside, cdn: CdnTwin) -> None:
    refused = set()
    for number in range(MANY):
        job = bodies.job_id(number)
        outside.fal.jobs[job] = FalJob(state="IN_PROGRESS")
        if is_fetched(number):
            outside.fal.generate(job, count_of(number), flagged_of(number))
        if way_of(number) in ("upload", "links"):
            refused |= set(urls_of(number))
        if way_of(number) == "links":  # the last image of each is gone from the CDN
            cdn.faults[urls_of(number)[-1].removeprefix("https://v3.fal.media")] = MISSING
    outside.telegram.is_refused = refused.__contains__
    for number in range(0, MANY, 9):
        outside.telegram.fail(rate_limited(), chat_id=1000 + number)


def left_over(connection: Connection) -> tuple[int, Counter[str]]:
    pending = select(func.count()).select_from(jobs).where(jobs.c.state == "pending")
    states = connection.execute(select(notifications.c.state)).scalars()
    return int(connection.execute(pending).scalar_one()), Counter(states)


async def register(http: httpx2.AsyncClient, number: int) -> int:
    job = {
        "request_id": bodies.job_id(number),
        "kind": "generation",
        "endpoint": ENDPOINT,
        "chat_id": 1000 + number,
        "language": "en",
    }
    return (await http.post("/api/v1/jobs", json=job, headers={"Authorization": f"Bearer {TOKEN}"})).status_code


async def test_a_hundred_generations_reach_their_chats_once(
    database_url: str, database: Database, outside: Outside, start_server: StartServer
) -> None:
    """1, 4 and 10 images, flagged ones, refused URLs, lost webhooks, repeats and 429s: one message for each chat.

    Every image that may be shown is shown once, or linked once where it can be shown neither way.
    """
    bot, cdn = BotOfImages(database), CdnTwin()
    for number in range(MANY):
        bot.meet(1000 + number)
    prepare(outside, cdn)
    async with (
        cdn.serve() as cdn_url,
        start_server(database_url, cdn_url, **SETTINGS) as server,
        httpx2.AsyncClient(base_url=server.url, verify=False) as http,
        FalSender(server.url + GENERATION_PATH, outside.fal.key, user_id=ACCOUNT, verify_tls=False) as fal,
    ):
        for number in range(MANY):
            job = bodies.job_id(number)
            body = bodies.success(job, bodies.images(job, count_of(number), flagged_of(number)))
            if not is_fetched(number) and number % 2:  # the webhook may come first
                assert (await fal.post(job, body)).status == 200
            assert await register(http, number) == 201
            if not is_fetched(number):
                assert (await fal.post(job, body)).status == 200
        await outside.telegram.heard(MANY, within=HEARD_WITHIN)
        await asyncio.sleep(3)  # whatever would come twice
    chats = Counter(message.chat_id for message in outside.telegram.messages)
    assert (len(chats), set(chats.values())) == (MANY, {1})
    wrong = [m.chat_id - 1000 for m in outside.telegram.messages if not is_right(m.chat_id - 1000, m)]
    assert wrong == []
    pending, states = await database.read(left_over)
    assert (pending, states) == (0, Counter(sent=MANY))
    fetched = [number for number in range(MANY) if outside.fal.asked(bodies.job_id(number))["result"]]
    assert fetched == [number for number in range(MANY) if is_fetched(number)]
