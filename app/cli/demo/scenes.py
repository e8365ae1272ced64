"""The scenes of the demo: a row says what is sent, what must come of it, and which sentence that proves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from app.domain.language import Msgid, msgid
from app.domain.trainer import Trainer
from app.twins import bodies
from app.twins.faults import Fault
from app.twins.forgeries import Forgery
from app.twins.telegram_faults import BLOCKED, rate_limited

FINETUNE_ID: Final = "a3f2c1d0-5b7e-4c18-9a46-0d1e2f3a4b5c"

Expected = Mapping[str, Any]
"""Facts of stage.py and what they must be; a function of the request id stands for what it returns."""


class Meanwhile(NamedTuple):
    """A change to the bot's row, made once `expected` is seen: `statement` takes :request_id and :avatar_id.

    Without one what changes is the CDN: the LoRA that was missing until then is there.
    """

    expected: Expected
    statement: str | None
    said: Msgid


@dataclass(frozen=True, slots=True)
class DemoAct:
    """What one avatar goes through; an owner who came before has the same avatar.

    `sends` has one POST per entry: "signed", "again", "replay" or a forgery, and the status and the code of its answer.
    `body` makes the webhook's body from the request id. `known`: the bot's row has its request id from the start.
    `fetchable`: fal's queue holds the result. `fault` meets the next message to the owner.
    """

    owner: Msgid
    expected: Expected
    body: Callable[[str], bytes] = bodies.success
    trainer: Trainer = Trainer.PORTRAIT
    sends: Mapping[str, tuple[int, str | None]] = field(default_factory=lambda: {"signed": (200, None)})
    known: bool = True
    meanwhile: Meanwhile | None = None
    fetchable: bool = False
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """One thing that happens to a webhook: its title, the sentence it proves, and its acts in order."""

    name: str
    title: Msgid
    proves: Msgid
    acts: Sequence[DemoAct] = ()
    show_body: bool = False


def lora_url(request_id: str) -> str:
    """Return the LoRA's URL in `bodies.success` of this request."""
    return str(bodies.portrait(request_id)["diffusers_lora_file"]["url"])


READY: Final[Expected] = {
    "avatar": "training → completed, 100 %",
    "lora_url": lora_url,
    "delivery": ["done, completed"],
    "notification": ["ready: sent"],
    "messages": 1,
}
UNTOLD: Final[Expected] = {"notification": [], "messages": 0}
AISHA: Final = msgid("Aisha")

SCENES: Sequence[Scene] = (
    Scene(
        "portrait",
        msgid("Portrait trained"),
        msgid("fal's signature is verified and the delivery on disk before the 200; then come avatar and message."),
        [DemoAct(AISHA, READY)],
        show_body=True,
    ),
    Scene(
        "failure",
        msgid("Training failed"),
        msgid(
            "fal reports a 422 with reasons: the owner is told what to do; the link to their photos (input) is hidden."
        ),
        [
            DemoAct(
                msgid("Timur"),
                {
                    "avatar": "training → error, 0 %",
                    "delivery": ["done, failed"],
                    "notification": ["failed: sent"],
                    "training_error": "The training images were refused (face_detection_error).",
                    "cause": ["no_face"],
                    "messages": 1,
                    "hidden": True,
                },
                lambda request_id: bodies.validation_failure(request_id, "face_detection_error"),
            )
        ],
        show_body=True,
    ),
    Scene(
        "duplicate",
        msgid("The same delivery again"),
        msgid("The delivery of step 1 comes twice more: the same answer, no change of the avatar, no second message."),
        [
            DemoAct(
                AISHA,
                {**READY, "avatar": "completed, 100 %", "repeats": [2]},
                sends={"again": (200, None), "replay": (200, None)},
            )
        ],
    ),
    Scene(
        "late",
        msgid("Webhook before the bot"),
        msgid(
            "The bot has not written the request id yet: the delivery waits, and the server looks every three seconds."
        ),
        [
            DemoAct(
                msgid("Dana"),
                READY,
                known=False,
                meanwhile=Meanwhile(
                    {**UNTOLD, "avatar": "training, 0 %", "delivery": ["pending, orphan"]},
                    "UPDATE avatars SET fal_request_id = :request_id WHERE id = :avatar_id",
                    msgid("now the bot writes the request id"),
                ),
            )
        ],
    ),
    Scene(
        "fetched",
        msgid("Webhook without result"),
        msgid("fal says OK, but left the result out of the webhook: the server fetches it from fal's queue."),
        [
            DemoAct(
                msgid("Aliya"),
                {**READY, "queue": ["result: 200"]},
                bodies.unserialised_success,
                fetchable=True,
            )
        ],
        show_body=True,
    ),
    Scene(
        "lost",
        msgid("The webhook never comes"),
        msgid("Its webhook is lost: the server asks fal itself and fetches the result; the owner is told once."),
        [
            DemoAct(
                msgid("Bota"),
                {**READY, "queue": ["status: 200", "result: 200"]},
                sends={},
                fetchable=True,
            )
        ],
    ),
    Scene(
        "drift",
        msgid("The bot spoils what is finished"),
        msgid("The bot's poller sets a finished avatar back to training: that is mended, and nobody is told twice."),
        [
            DemoAct(
                msgid("Saule"),
                {**READY, "avatar": "completed, 100 %"},
                meanwhile=Meanwhile(
                    READY,
                    "UPDATE avatars SET status = 'training', training_progress = 0 "
                    "WHERE id = :avatar_id AND fal_request_id = :request_id",
                    msgid("now the bot writes training over it"),
                ),
            )
        ],
    ),
    Scene(
        "absent",
        msgid("The file is not there yet"),
        msgid("fal says OK, but the LoRA is not on the CDN: nothing is completed and nobody told until it is there."),
        [
            DemoAct(
                msgid("Yerzhan"),
                READY,
                meanwhile=Meanwhile(
                    {**UNTOLD, "avatar": "training, 0 %", "delivery": ["pending, artifact_absent"]},
                    None,
                    msgid("now the file appears on the CDN"),
                ),
            )
        ],
    ),
    Scene(
        "style",
        msgid("Style with finetune_id"),
        msgid(
            "Another trainer gives no file but a finetune_id; an avatar's name with < and & reaches the owner whole."
        ),
        [
            DemoAct(
                msgid("Summer <3 & sea"),
                {**READY, "lora_url": None, "finetune_id": FINETUNE_ID, "whole": True},
                lambda request_id: bodies.success(request_id, {"finetune_id": FINETUNE_ID}),
                Trainer.STYLE,
            )
        ],
        show_body=True,
    ),
    Scene(
        "forged",
        msgid("Forgeries"),
        msgid(
            "Five forgeries are refused; fal signed one itself, but its ids differ: buried, for the operator to see."
        ),
        [
            DemoAct(
                msgid("Ruslan"),
                {**UNTOLD, "avatar": "training, 0 %", "delivery": ["dead, id_mismatch"]},
                sends={
                    Forgery.WRONG_KEY: (401, "signature_invalid"),
                    Forgery.TAMPERED_BODY: (401, "signature_invalid"),
                    Forgery.STALE_CLOCK: (401, "timestamp_outside_window"),
                    Forgery.FOREIGN_ACCOUNT: (403, "account_foreign"),
                    Forgery.MISMATCHED_ID: (200, None),
                    Forgery.UNSIGNED: (401, "signature_missing"),
                },
            )
        ],
    ),
    Scene(
        "telegram",
        msgid("Telegram refuses"),
        msgid(
            "After a 429 the message goes out a second later; when the bot is blocked it is kept, the avatar is ready."
        ),
        [
            DemoAct(msgid("Madina"), {**READY, "telegram": [429, 200]}, fault=rate_limited(1)),
            DemoAct(
                msgid("Sanzhar"),
                {
                    **READY,
                    "blocked": True,
                    "notification": ["ready: owner_unreachable"],
                    "messages": 0,
                    "telegram": [403],
                },
                fault=BLOCKED,
            ),
        ],
    ),
    Scene(
        "closing",
        msgid("The end and the count"),
        msgid("The server gets SIGTERM, finishes what it began and leaves; there are exactly as many messages as due."),
    ),
)
