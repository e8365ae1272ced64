"""Settings from environment, `.env` and defaults, in that order of precedence; all errors are reported at once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from app.core import outgoing
from app.core import setting_meta as meta
from app.core.config import Settings
from app.core.setting_checks import Wrong
from app.core.setting_sources import Collected, Given, collect, environment
from app.core.setting_words import BY_TYPE, MISFIT, NOT_SET, Words
from app.domain.errors import SettingsInvalid
from app.domain.language import Language

ENV_FILE = Path(".env")


def load_settings(env_file: Path | None = ENV_FILE, environ: Mapping[str, str] | None = None) -> Settings:
    """Read *environ* (else this process's environment) and *env_file*; a missing file is no error, None reads none.

    Raises SettingsInvalid with one line per thing that is wrong, everything at once, in Russian or, where
    DEFAULT_LANGUAGE says `en`, in English. Proxies and trust anchors (`outgoing.NAMES`) are judged as well; read from
    *environ* of None they are settled, too.
    """
    surroundings = environment() if environ is None else environ
    found = collect(Settings.model_fields, env_file, surroundings, outgoing.NAMES)
    reach = outgoing.in_force(surroundings, found.beside)
    outgoing.judge(reach, found)
    values: dict[str, Any] = {name: given.value.strip() for name, given in found.given.items()}
    for name in values:
        if meta.is_secret(Settings.model_fields[name]):
            values[name] = SecretStr(found.given[name].value)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        _translate(error, found)
    else:
        if environ is None and not found.findings:
            found.notes.extend(outgoing.settle(reach, environment()))
        settings._notes = tuple(found.notes)  # noqa: SLF001 the only way to write to a frozen pydantic model after validation
    if found.findings:
        language: Language = "en" if str(values.get("default_language", "")).lower() == "en" else "ru"
        raise SettingsInvalid(list(dict.fromkeys(words.say(language) for words in found.findings))) from None
    return settings


def _translate(error: ValidationError, found: Collected) -> None:
    """Add what pydantic found; of a list with several wrong items the first."""
    told = {str(entry["loc"][0]): entry for entry in reversed(error.errors(include_url=False, include_input=False))}
    for name, entry in reversed(told.items()):
        cause = entry.get("ctx", {}).get("error")
        why = cause.why if isinstance(cause, Wrong) else BY_TYPE.get(entry["type"], MISFIT)
        given = found.given.get(name, Given("", meta.env_name(name), Words(NOT_SET)))
        found.refuse(given, why, meta.remedy(Settings.model_fields[name]))
