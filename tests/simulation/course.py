"""One training from its start to whatever becomes of it: what the bot writes, what fal says, when."""

import asyncio
import hashlib
import random
from dataclasses import dataclass, field
from typing import Any, Literal

from app.twins import bodies
from app.twins.fal_queue import FalJob
from app.twins.sender import LARGE_BYTES
from tests.simulation.chance import one_of
from tests.simulation.fal import Shelf
from tests.simulation.temper import ZONES, Temper

Trainer = Literal["portrait", "style", "other", "images"]

ENDPOINTS: dict[str, str] = {
    "portrait": "fal-ai/flux-lora-portrait-trainer",
    "style": "fal-ai/flux-lora-fast-training",
    "images": "fal-ai/flux-lora",
    "other": "fal-ai/turbo-flux-trainer",  # which nobody told the server of, unless the bot registers its jobs
}
LASTS = {"portrait": (240, 900), "style": (90, 420), "other": (60, 300)}  # s at work, mostly
FAILURES = ("refused", "infra", "text", "unserialised failure", "locked")
WORDS = {"text": "No face was found", "locked": "User is locked. Reason: Exhausted balance."}
KINDS = ("content_policy_violation", "face_detection_error", "image_too_small", "file_download_error", "odd_new_type")
OWN_ID = "ft-{}"  # a finetune id that the bot writes by itself
USUAL = Temper()
NAMES = ("Айша", "Алия <b>", "Ваня & Co", "x", "Жанна\u202e", "", "👩‍🚀 Нур", "a" * 100)
LANGUAGES = ("ru", "ru", "ru", "kk", "en", "pt-br", "")
ODD_FILES = (
    "https://files.example/{}.safetensors", "http://v3.fal.media/{}.safetensors", "https://x@v3.fal.media/{}.safetensors",
    "https://v3.fal.media:8443/{}.safetensors", "https://[2001:db8::1]/{}.safetensors", "/files/{}.safetensors",
)  # fmt: skip


@dataclass
class Saying:
    """Something that fal says by webhook: `at` seconds after the end."""

    at: float
    body: bytes


@dataclass
class Course:
    """The truth about one training. Times are seconds of the run."""

    number: int
    request_id: str
    avatar_id: str
    user_id: str
    chat_id: int
    trainer: Trainer
    name: str
    language: str
    end: str
    begins: float
    waits: float
    works: float
    sayings: list[Saying] = field(default_factory=list)
    artifacts: set[str] = field(default_factory=set)  # that fal made
    can_fail: bool = False  # fal said so, or its result was forgotten
    mood: str | None = None
    signed: dict[str, bytes] = field(default_factory=dict)  # what was sent, by its digest
    acknowledged: set[str] = field(default_factory=set)
    has_row: bool = False
    is_meddled: bool = False
    is_begun_anew: bool = False
    is_cancelled: bool = False
    is_touched: bool = False  # by an operator, or by whoever else answers for it
    is_refused: bool = False  # its row takes no end
    is_emptied: bool = False  # its body was forgotten before this version came
    shelf: str = "there"
    is_submitted: bool = False  # by the server itself
    is_generation: bool = False
    is_registered: bool = False
    zone: str = "UTC+5"
    webhook: str = "/api/v1/avatar/status_update?training_type=portrait"  # the address that fal was given
    meddled_at: float = 0.0  # when the bot last wrote into the row on its own

    @property
    def ends(self) -> float:
        return self.begins + self.waits + self.works

    @property
    def is_plain(self) -> bool:
        """Tell whether its webhook says all there is to say, and its file can be had."""
        return self.end in ("success", "finetune", "two files", "two successes") and self.shelf == "there"

    @property
    def type(self) -> str:
        return "style" if self.trainer == "style" else "portrait"

    @property
    def endpoint(self) -> str:
        return ENDPOINTS[self.trainer]


def draw(
    number: int, begins: float, chance: random.Random, owners: list[tuple[str, int]], temper: Temper = USUAL
) -> Course:
    """Draw a training."""
    trainer: Trainer = one_of(chance, {"portrait": 68.0, "style": 24.0, "other": 8.0})
    low, high = LASTS[trainer]
    works = chance.uniform(low, high) * (chance.choice((5, 9)) if chance.random() < 0.01 else 1)
    if owners and chance.random() < 0.1:
        user_id, chat_id = chance.choice(owners)
        mood = None
    else:
        user_id, chat_id = uuid(chance), 10_000 + number
        mood = one_of(chance, temper.moods)
        if mood is None:
            owners.append((user_id, chat_id))
    course = Course(
        number,
        bodies.job_id(chance.getrandbits(48)),
        uuid(chance),
        user_id,
        chat_id,
        trainer,
        chance.choice(NAMES)[:80] + f" {number}",
        chance.choice(LANGUAGES),
        one_of(chance, temper.ends),
        begins,
        chance.expovariate(1 / 40) * (20 if chance.random() < 0.02 else 1),
        chance.uniform(0.5, 3) if chance.random() < 0.02 else works,
        mood=mood,
    )
    if course.end in ("finetune", "long id"):
        course.trainer = "style"
    course.is_submitted = course.trainer != "other" and chance.random() < temper.submits
    course.zone = chance.choice(ZONES)
    course.shelf = one_of(chance, temper.shelves)
    return course


def cancel(course: Course, now: float) -> None:
    """Let fal end a training that nobody wants any more."""
    answer = {"detail": "Request was cancelled", "error_type": "client_cancelled"}
    body = bodies.body_for(course.request_id, status="ERROR", payload=answer, error="Request was cancelled")
    for saying in course.sayings:
        saying.body = body
    course.works = now - course.begins - course.waits
    course.artifacts.clear()
    course.can_fail = True


def uuid(chance: random.Random) -> str:
    """Draw an id as the bot's tables have them."""
    text = f"{chance.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def prepare(course: Course, chance: random.Random, unix: float) -> tuple[FalJob, dict[str, Shelf]]:
    """Settle what fal will say of a training that begins at `unix`, and what will lie in its CDN."""
    request_id = course.request_id
    payload: dict[str, Any] = bodies.portrait(request_id)
    if course.end == "finetune":
        payload = {"finetune_id": f"ft-{request_id[-12:]}"}
    if course.end == "two files":
        payload["debug_preprocessed_output"] = {"url": "https://v3.fal.media/files/x/debug.zip"}
    if course.end == "odd file":
        payload["diffusers_lora_file"]["url"] = chance.choice(ODD_FILES).format(request_id)
    if course.end == "long id":
        payload = {"finetune_id": f"ft-{request_id}" + "x" * 300}
    if course.end == "large":
        payload["logs"] = "x" * LARGE_BYTES
    job = FalJob(
        state="IN_QUEUE",
        endpoint=course.endpoint,
        position=chance.randrange(1, 40),
        sent_at=unix,
        starts_at=unix + course.waits,
        ends_at=unix + course.waits + course.works,
        body=bodies.dumps(payload),
        logs=(" 37%|███▋      | 925/2500 [03:10<05:24,  4.86it/s]",),
    )
    ended = unix + course.waits + course.works
    job.forgotten_at = ended + (360 if course.end == "large" else 3600)
    job.is_listed = chance.random() < 0.9
    course.sayings = [Saying(0, bodies.success(request_id, payload))]
    _end(course, job, chance)
    shelves = _shelve(course, payload, chance, ended)
    if course.end not in (*FAILURES, "no artifact"):
        course.artifacts |= {url for url in shelves if "config" not in url} or {str(payload.get("finetune_id"))}
    return job, shelves


def _end(course: Course, job: FalJob, chance: random.Random) -> None:
    request_id = course.request_id
    if course.end in FAILURES:
        fail(course, job, chance)
    match course.end:
        case "unserialised":
            course.sayings = [Saying(0, bodies.unserialised_success(request_id))]
        case "no artifact":
            job.body = b'{"images": []}'
            course.sayings = [Saying(0, bodies.success(request_id, {"images": []}))]
        case "error then success":
            course.sayings.insert(0, Saying(0, bodies.infra_failure(request_id)))
            course.sayings[1].at = chance.choice((0, 30, 400))
        case "success then error":
            course.sayings.append(Saying(chance.choice((0, 30, 400)), bodies.infra_failure(request_id)))
        case "two successes":
            other = bodies.portrait(request_id + "again")
            course.sayings.append(Saying(chance.choice((0, 30)), bodies.success(request_id, other)))
            course.artifacts.add(other["diffusers_lora_file"]["url"])
    course.can_fail = course.end in FAILURES or "error" in course.end


def fail(course: Course, job: FalJob, chance: random.Random) -> None:
    """Settle how a training fails, by webhook and in the queue."""
    request_id = course.request_id
    status, answer = 422, {"detail": WORDS.get(course.end, "Something")}
    body = bodies.body_for(request_id, status="ERROR", payload=answer, error="Invalid status code: 422")
    match course.end:
        case "refused":
            kind = chance.choice(KINDS)
            answer, body = bodies.complaint(kind), bodies.validation_failure(request_id, kind)
        case "infra":
            status, body = 503, bodies.infra_failure(request_id)
            answer = {"detail": "The runner went away.", "error_type": "runner_disconnected"}
        case "unserialised failure":
            body = bodies.unserialised_failure(request_id)
    job.status_code, job.body = status, bodies.dumps(answer)
    course.sayings = [Saying(0, body)]


def _shelve(course: Course, payload: dict[str, Any], chance: random.Random, ended: float) -> dict[str, Shelf]:
    there = ended + {"there": 0.0, "lags": chance.uniform(3, 200), "never": float("inf"), "empty": 0.0}[course.shelf]
    made = [payload, bodies.portrait(course.request_id + "again")]
    return {
        one[name]["url"]: Shelf(there, course.shelf == "empty")
        for one in made
        for name in ("diffusers_lora_file", "config_file")
        if name in one and (one is payload or course.end == "two successes")
    }


def digest(body: bytes) -> str:
    """The digest that the inbox knows a body by."""
    return hashlib.sha256(body).hexdigest()


async def until(moment: float) -> None:
    """Sleep until a moment of the run."""
    await asyncio.sleep(max(0.0, moment - asyncio.get_running_loop().time()))
