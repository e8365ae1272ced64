"""What a person needs to know of one setting: carried by its pydantic field, and by the kind of its value."""

from collections.abc import Iterable, Sequence
from typing import Any, cast, get_args

from pydantic import Field, SecretStr
from pydantic.fields import FieldInfo

from app.core.setting_errors import Remedy, verbatim
from app.domain.language import Msgid, msgid

NUMBER = msgid("a number from {low} to {high}, such as {example}")


def setting(
    default: object,
    purpose: Msgid,
    *,
    aliases: Sequence[str] = (),
    section: Msgid | None = None,
    shown: Msgid | None = None,
    example: float | None = None,
) -> Any:
    """Make a field of its default and its purpose; what a right value looks like is known by the field's type.

    *section* stands on the first setting of a section; *shown* replaces an empty default on the page; *example* is for
    a number without a default.
    """
    extra = {"aliases": list(aliases), "section": section, "shown": shown, "example": example}
    return Field(default=default, description=purpose, json_schema_extra=cast("Any", extra))


def _extra(field: FieldInfo) -> dict[str, Any]:
    return cast("dict[str, Any]", field.json_schema_extra)


def purpose(field: FieldInfo) -> Msgid:
    """Tell what the setting is for."""
    return Msgid(field.description or "")


def remedy(field: FieldInfo) -> Remedy:
    """Tell what a right value looks like: as its kind says, one of its choices, or a number between its bounds."""
    marks = _marks([field.annotation, *field.metadata])
    said = [mark for mark in marks if isinstance(mark, Remedy)]
    choices = ["true", "false"] if bool in marks else [mark for mark in marks if isinstance(mark, str)]
    if said or choices:
        return said[-1] if said else verbatim(" | ".join(choices))
    low, high = (next(getattr(mark, end) for mark in marks if hasattr(mark, end)) for end in ("ge", "le"))
    return Remedy(NUMBER, {"low": low, "high": high, "example": _extra(field)["example"] or field.default})


def aliases(field: FieldInfo) -> tuple[str, ...]:
    """List further names of the setting."""
    return tuple(_extra(field)["aliases"])


def section(field: FieldInfo) -> Msgid | None:
    """Tell the heading that starts with this setting."""
    return cast("Msgid | None", _extra(field)["section"])


def shown(field: FieldInfo) -> Msgid | None:
    """Tell what a page says in place of an empty default."""
    return cast("Msgid | None", _extra(field)["shown"])


def env_name(field: str) -> str:
    """Spell a field of Settings as the environment does."""
    return field.upper()


def is_secret(field: FieldInfo) -> bool:
    """Tell whether the value may never be shown, for its type says so; it can also come from `NAME_FILE`."""
    return SecretStr in _marks([field.annotation])


def _marks(annotations: Iterable[object]) -> list[object]:
    """Take types apart into what they are made of: the inner before what an `Annotated` puts around it."""
    marks: list[object] = []
    for one in annotations:
        parts = one.metadata if isinstance(one, FieldInfo) else get_args(one)
        marks += _marks(parts) if parts else [one]
    return marks
