"""What a person needs to know of one setting: carried by its pydantic field, and by the kind of its value."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast, get_args

from pydantic import Field, SecretStr
from pydantic.fields import FieldInfo

from app.core.setting_kinds import ValueKind
from app.core.setting_words import Words, verbatim
from app.domain.language import Msgid, msgid

NOTHING = Msgid("—")
NUMBER = msgid("a number from {low} to {high}, such as {example}")


@dataclass(frozen=True, slots=True)
class About:
    """What a field says of itself besides its type."""

    purpose: Msgid
    aliases: tuple[str, ...] = ()
    section: Msgid | None = None  # stands on the first setting of a section
    shown: Msgid = NOTHING  # on the page, in place of an empty default
    example: float | None = None  # of a number without a default


def setting(default: object, purpose: Msgid, **further: Any) -> Any:
    """Make a field of its default and its purpose; further words are those of About."""
    return Field(default=default, json_schema_extra=cast("Any", {"about": About(purpose, **further)}))


def about(field: FieldInfo) -> About:
    """Return what the field says of itself."""
    return cast("dict[str, Any]", field.json_schema_extra)["about"]  # type: ignore[no-any-return]


def env_name(field: str) -> str:
    """Spell a field of Settings as the environment does."""
    return field.upper()


def is_secret(field: FieldInfo) -> bool:
    """Tell whether the value may never be shown, for its type says so; it can also come from `NAME_FILE`."""
    return SecretStr in _marks([field.annotation])


def names(field: str, info: FieldInfo) -> tuple[str, ...]:
    """List the names of the setting, the preferred one first."""
    return env_name(field), *about(info).aliases


def file_names(field: str, info: FieldInfo) -> tuple[str, ...]:
    """List the names that point at a file with the value; none for what is no secret."""
    return tuple(f"{name}_FILE" for name in names(field, info)) if is_secret(info) else ()


def remedy(field: FieldInfo) -> Words:
    """Tell what a right value looks like: as its kind says, one of its choices, or a number between its bounds."""
    marks = _marks([field.annotation, *field.metadata])
    said = [mark.remedy for mark in marks if isinstance(mark, ValueKind)]
    choices = ["true", "false"] if bool in marks else [mark for mark in marks if isinstance(mark, str)]
    if said or choices:
        return Words(said[-1]) if said else verbatim(" | ".join(choices))
    low, high = (next(getattr(mark, end) for mark in marks if hasattr(mark, end)) for end in ("ge", "le"))
    return Words(NUMBER, {"low": low, "high": high, "example": about(field).example or field.default})


def _marks(annotations: Iterable[object]) -> list[object]:
    """Take types apart into what they are made of: the inner before what an `Annotated` puts around it."""
    marks: list[object] = []
    for one in annotations:
        parts = one.metadata if isinstance(one, FieldInfo) else get_args(one)
        marks += _marks(parts) if parts else [one]
    return marks
