"""The steps of the demo: each plays one thing that happens to a webhook and says what must come of it."""

from collections.abc import Awaitable, Callable, Sequence

from app.cli.demo.report import Exchange, Look, Report
from app.cli.demo.stage import Stage
from app.domain.training import Trainer
from app.twins import bodies
from app.twins.forgeries import Forgery
from app.twins.telegram_faults import BLOCKED, rate_limited

Play = Callable[[Stage, Report], Awaitable[None]]

NAMES = {
    "ru": ("Айша", "Тимур", "Дана", "Алия", "Лето <3 & море", "Руслан", "Мадина", "Санжар"),
    "en": ("Aisha", "Timur", "Dana", "Aliya", "Summer <3 & sea", "Ruslan", "Madina", "Sanzhar"),
}
FINETUNE_ID = "a3f2c1d0-5b7e-4c18-9a46-0d1e2f3a4b5c"
PRIVATE = "private-photos"  # in the link that fal's 422 echoes

# What each forgery is answered: status, code.
ANSWERS = {
    Forgery.WRONG_KEY: (401, "signature_invalid"),
    Forgery.TAMPERED_BODY: (401, "signature_invalid"),
    Forgery.STALE_CLOCK: (401, "timestamp_outside_window"),
    Forgery.FOREIGN_ACCOUNT: (403, "account_foreign"),
    # Its signature is fal's and our account's, so it is taken; that its two ids differ is found once it is read.
    Forgery.MISMATCHED_ID: (200, None),
    Forgery.UNSIGNED: (401, "signature_missing"),
}


async def portrait(stage: Stage, report: Report) -> None:
    """Deliver a signed success: the avatar is completed and its owner told."""
    job = await stage.train(_name(stage, 0))
    exchange = report.record(await stage.deliver(job, bodies.success(job.request_id), show_body=True))
    look = report.record(await stage.settled(job))
    _received(report, exchange)
    _ready(report, look, lora_url=_lora_url(job.request_id))


async def failure(stage: Stage, report: Report) -> None:
    """Deliver a signed failure: the owner is told why, without what fal echoed."""
    job = await stage.train(_name(stage, 1))
    body = bodies.validation_failure(job.request_id, "face_detection_error")
    exchange = report.record(await stage.deliver(job, body, show_body=True))
    look = report.record(await stage.settled(job))
    _received(report, exchange)
    _avatar(report, look, status="error")
    _delivery(report, look, "done", "failed")
    _told(report, look, ["failed"])
    report.expect("notification.cause", ["no_face"], [row["cause"] for row in look.notifications])
    shown = (str(look.avatar["training_error"]), *(message.text for message in look.messages))
    report.expect("private link is shown", expected=False, seen=any(PRIVATE in text for text in shown))


async def duplicate(stage: Stage, report: Report) -> None:
    """Deliver what the first step delivered twice more: nothing changes."""
    job, first = stage.jobs[0], stage.senders[Trainer.PORTRAIT].log[0]
    again = report.record(await stage.deliver(job, first.body, what="again"))
    replayed = report.record(await stage.replay(first))
    look = report.record(await stage.settled(job))
    _received(report, again)
    _received(report, replayed)
    _ready(report, look, lora_url=_lora_url(job.request_id))
    report.expect("delivery.repeats", [2], [row["repeats"] for row in look.deliveries])


async def late(stage: Stage, report: Report) -> None:
    """Overtake the bot's own commit: the webhook is kept, and applied once the bot is there."""
    job = await stage.train(_name(stage, 2), committed=False)
    exchange = report.record(await stage.deliver(job, bodies.success(job.request_id)))
    waiting = await stage.until(job, lambda look: look.waits)
    report.note("late.waits")
    await stage.commit_request_id(job)
    look = report.record(await stage.settled(job))
    _received(report, exchange)
    report.expect("waiting", ([("pending", "orphan")], "training", 0), (_ends(waiting), *_state(waiting)))
    _ready(report, look, lora_url=_lora_url(job.request_id))


async def fetched(stage: Stage, report: Report) -> None:
    """Say OK without a payload: the result is fetched from fal's queue."""
    job = await stage.train(_name(stage, 3))
    stage.fal.succeed(job.request_id)
    exchange = report.record(await stage.deliver(job, bodies.unserialised_success(job.request_id), show_body=True))
    look = await stage.settled(job)
    calls = [call for call in stage.fal.calls if call.request_id == job.request_id]
    for call in calls:
        report.note("fetched.call", path=call.path, status=call.status)
    report.record(look)
    _received(report, exchange)
    report.expect("fal.calls", [("result", 200)], [(call.name, call.status) for call in calls])
    _ready(report, look, lora_url=_lora_url(job.request_id))


async def style(stage: Stage, report: Report) -> None:
    """Deliver a finetune id; the avatar's odd name survives Telegram's HTML."""
    job = await stage.train(_name(stage, 4), Trainer.STYLE)
    body = bodies.success(job.request_id, {"finetune_id": FINETUNE_ID})
    exchange = report.record(await stage.deliver(job, body, trainer=Trainer.STYLE, show_body=True))
    look = report.record(await stage.settled(job))
    _received(report, exchange)
    _ready(report, look, finetune_id=FINETUNE_ID)
    report.expect("name is shown whole", [True], [job.name in message.shown for message in look.messages])


async def forged(stage: Stage, report: Report) -> None:
    """Forge: what is not fal's, not ours or not of now is refused, what contradicts itself is buried."""
    job = await stage.train(_name(stage, 5))
    for forgery, expected in ANSWERS.items():
        exchange = report.record(await stage.forge(forgery, job))
        report.expect(f"{forgery}.answer", expected, (exchange.status, exchange.answer.get("code")))
    look = report.record(await stage.settled(job))
    _avatar(report, look, status="training")
    _delivery(report, look, "dead", "id_mismatch")
    _told(report, look, [])


async def telegram(stage: Stage, report: Report) -> None:
    """Let Telegram refuse: a 429 delays a message, a block costs only the message."""
    for name, fault in ((_name(stage, 6), rate_limited(1)), (_name(stage, 7), BLOCKED)):
        job = await stage.train(name)
        stage.telegram.fail(fault, chat_id=job.chat_id)
        exchange = report.record(await stage.deliver(job, bodies.success(job.request_id)))
        look = await stage.settled(job)
        answers = [call.status for call in stage.telegram.calls if call.chat_id == job.chat_id]
        report.note("telegram.calls", statuses=", ".join(map(str, answers)))
        report.record(look)
        _received(report, exchange)
        if fault is BLOCKED:
            _avatar(report, look, status="completed", lora_url=_lora_url(job.request_id), is_blocked=1)
            _told(report, look, [])
            ends = [(row["state"], row["reason"]) for row in look.notifications]
            report.expect("notification", [("dead", "owner_unreachable")], ends)
            report.expect("telegram.answers", [403], answers)
            for row in look.notifications:
                report.note("telegram.redrive", id=row["id"])
        else:
            _ready(report, look, lora_url=_lora_url(job.request_id))
            report.expect("telegram.answers", [429, 200], answers)


STEPS: Sequence[Play] = (portrait, failure, duplicate, late, fetched, style, forged, telegram)
MESSAGES = 6  # that owners get altogether: none for the repeats, the forgeries and the one who blocked the bot


def _name(stage: Stage, index: int) -> str:
    return NAMES[stage.language][index]


def _lora_url(request_id: str) -> str:
    return str(bodies.portrait(request_id)["diffusers_lora_file"]["url"])


def _received(report: Report, exchange: Exchange) -> None:
    report.expect("answer.status", 200, exchange.status)
    answer = {"status": "received", "request_id": exchange.request_id}
    report.expect("answer.body", answer, dict(exchange.answer))


def _ready(report: Report, look: Look, *, lora_url: str | None = None, finetune_id: str | None = None) -> None:
    """Expect what every success leaves behind."""
    _avatar(report, look, status="completed", training_progress=100, lora_url=lora_url, finetune_id=finetune_id)
    _delivery(report, look, "done", "completed")
    _told(report, look, ["ready"])


def _avatar(report: Report, look: Look, **expected: object) -> None:
    for column, value in expected.items():
        report.expect(f"avatar.{column}", value, look.avatar[column])


def _delivery(report: Report, look: Look, state: str, reason: str) -> None:
    report.expect("delivery", [(state, reason)], _ends(look))


def _told(report: Report, look: Look, kinds: Sequence[str]) -> None:
    sent = [row["kind"] for row in look.notifications if row["state"] == "sent"]
    report.expect("notifications.sent", list(kinds), sent)
    report.expect("messages", len(kinds), len(look.messages))


def _ends(look: Look) -> list[tuple[str, str]]:
    return [(row["state"], row["reason"]) for row in look.deliveries]


def _state(look: Look) -> tuple[str, int]:
    return str(look.avatar["status"]), len(look.messages)
