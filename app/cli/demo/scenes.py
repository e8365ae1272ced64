"""The scenes of the demo: a row says what is sent, what must come of it, and which sentence that proves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from app.domain.language import Bilingual
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
    said: Bilingual


@dataclass(frozen=True, slots=True)
class DemoAct:
    """What one avatar goes through; an owner who came before has the same avatar.

    `sends` has one POST per entry: "signed", "again", "replay" or a forgery, and the status and the code of its answer.
    `body` makes the webhook's body from the request id. `known`: the bot's row has its request id from the start.
    `fetchable`: fal's queue holds the result. `fault` meets the next message to the owner.
    """

    owner: Bilingual
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
    title: Bilingual
    proves: Bilingual
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
AISHA: Final = ("Айша", "Aisha")

SCENES: Sequence[Scene] = (
    Scene(
        "portrait",
        ("Портрет обучен", "Portrait trained"),
        (
            "Подпись fal проверена, доставка на диске, лишь потом ответ 200; затем аватар и сообщение владельцу.",
            "fal's signature is verified and the delivery on disk before the 200; then come avatar and message.",
        ),
        [DemoAct(AISHA, READY)],
        show_body=True,
    ),
    Scene(
        "failure",
        ("Обучение не удалось", "Training failed"),
        (
            "fal сообщает 422 с причинами: владелец узнаёт, что сделать, а ссылка на его фото (input) не видна нигде.",
            "fal reports a 422 with reasons: the owner is told what to do; the link to their photos (input) is hidden.",
        ),
        [
            DemoAct(
                ("Тимур", "Timur"),
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
        ("Та же доставка ещё раз", "The same delivery again"),
        (
            "Доставка шага 1 приходит ещё дважды: ответ тот же, аватар не меняется, второго сообщения нет.",
            "The delivery of step 1 comes twice more: the same answer, no change of the avatar, no second message.",
        ),
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
        ("Вебхук раньше бота", "Webhook before the bot"),
        (
            "Бот ещё не записал request_id: доставка принята и ждёт, сервер смотрит снова каждые три секунды.",
            "The bot has not written the request id yet: the delivery waits, and the server looks every three seconds.",
        ),
        [
            DemoAct(
                ("Дана", "Dana"),
                READY,
                known=False,
                meanwhile=Meanwhile(
                    {**UNTOLD, "avatar": "training, 0 %", "delivery": ["pending, orphan"]},
                    "UPDATE avatars SET fal_request_id = :request_id WHERE id = :avatar_id",
                    ("теперь бот записывает request_id", "now the bot writes the request id"),
                ),
            )
        ],
    ),
    Scene(
        "fetched",
        ("Вебхук без результата", "Webhook without result"),
        (
            "fal говорит OK, но результат в вебхук не поместил: сервер сам забирает его из очереди fal.",
            "fal says OK, but left the result out of the webhook: the server fetches it from fal's queue.",
        ),
        [
            DemoAct(
                ("Алия", "Aliya"),
                {**READY, "queue": ["result: 200"]},
                bodies.unserialised_success,
                fetchable=True,
            )
        ],
        show_body=True,
    ),
    Scene(
        "lost",
        ("Вебхук не пришёл", "The webhook never comes"),
        (
            "Вебхук потерялся: сервер сам спрашивает fal и забирает результат, владелец узнаёт один раз.",
            "Its webhook is lost: the server asks fal itself and fetches the result; the owner is told once.",
        ),
        [
            DemoAct(
                ("Бота", "Bota"),
                {**READY, "queue": ["status: 200", "result: 200"]},
                sends={},
                fetchable=True,
            )
        ],
    ),
    Scene(
        "drift",
        ("Бот испортил готовое", "The bot spoils what is finished"),
        (
            "Опросчик бота возвращает готовый аватар в training: сервер замечает и исправляет, второго сообщения нет.",
            "The bot's poller sets a finished avatar back to training: that is mended, and nobody is told twice.",
        ),
        [
            DemoAct(
                ("Сауле", "Saule"),
                {**READY, "avatar": "completed, 100 %"},
                meanwhile=Meanwhile(
                    READY,
                    "UPDATE avatars SET status = 'training', training_progress = 0 "
                    "WHERE id = :avatar_id AND fal_request_id = :request_id",
                    ("теперь бот пишет training поверх", "now the bot writes training over it"),
                ),
            )
        ],
    ),
    Scene(
        "absent",
        ("Файла ещё нет", "The file is not there yet"),
        (
            "fal говорит OK, а LoRA на CDN нет: аватар не готов и владельцу не сообщено, пока файл не появится.",
            "fal says OK, but the LoRA is not on the CDN: nothing is completed and nobody told until it is there.",
        ),
        [
            DemoAct(
                ("Ержан", "Yerzhan"),
                READY,
                meanwhile=Meanwhile(
                    {**UNTOLD, "avatar": "training, 0 %", "delivery": ["pending, artifact_absent"]},
                    None,
                    ("теперь файл появляется на CDN", "now the file appears on the CDN"),
                ),
            )
        ],
    ),
    Scene(
        "style",
        ("Стиль с finetune_id", "Style with finetune_id"),
        (
            "Другая модель отдаёт не файл, а finetune_id; имя аватара с < и & доходит до владельца целым.",
            "Another trainer gives no file but a finetune_id; an avatar's name with < and & reaches the owner whole.",
        ),
        [
            DemoAct(
                ("Лето <3 & море", "Summer <3 & sea"),
                {**READY, "lora_url": None, "finetune_id": FINETUNE_ID, "whole": True},
                lambda request_id: bodies.success(request_id, {"finetune_id": FINETUNE_ID}),
                Trainer.STYLE,
            )
        ],
        show_body=True,
    ),
    Scene(
        "forged",
        ("Подделки", "Forgeries"),
        (
            "Пять подделок отвергнуты; одну подписал сам fal, но её номера расходятся: отложена, видна оператору.",
            "Five forgeries are refused; fal signed one itself, but its ids differ: buried, for the operator to see.",
        ),
        [
            DemoAct(
                ("Руслан", "Ruslan"),
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
        ("Telegram отказывает", "Telegram refuses"),
        (
            "После 429 сообщение уходит секундой позже; заблокировавшему бота оно хранится, а аватар готов.",
            "After a 429 the message goes out a second later; when the bot is blocked it is kept, the avatar is ready.",
        ),
        [
            DemoAct(("Мадина", "Madina"), {**READY, "telegram": [429, 200]}, fault=rate_limited(1)),
            DemoAct(
                ("Санжар", "Sanzhar"),
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
        ("Остановка и счёт", "The end and the count"),
        (
            "Сервер получает SIGTERM, доделывает начатое и выходит; сообщений ровно столько, сколько нужно.",
            "The server gets SIGTERM, finishes what it began and leaves; there are exactly as many messages as due.",
        ),
    ),
)
