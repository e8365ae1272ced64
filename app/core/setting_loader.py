"""Settings from environment, `.env` and defaults, in that order of precedence; all errors are reported at once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from app.core import outgoing
from app.core import setting_meta as a
from app.core.config import Settings
from app.core.setting_checks import Wrong
from app.core.setting_errors import DEFAULT, SettingError
from app.core.setting_sources import Collected, Wanted, collect, environment
from app.domain.errors import SettingsInvalid
from app.domain.language import Language

ENV_FILE = Path(".env")


def wanted() -> tuple[Wanted, ...]:
    """List what to look for in environment and files: one entry per field, in the order of the class."""
    return tuple(
        Wanted(name, (a.env_name(name), *a.aliases(info)), a.is_secret(info), a.remedy(info))
        for name, info in Settings.model_fields.items()
    )


def load_settings(env_file: Path | None = ENV_FILE, environ: Mapping[str, str] | None = None) -> Settings:
    """Read *environ* (else this process's environment) and *env_file*; a missing file is no error, None reads none.

    Raises SettingsInvalid with one line per thing that is wrong, everything at once, in Russian or, where
    DEFAULT_LANGUAGE says `en`, in English. Proxies and trust anchors (`outgoing.NAMES`) are judged as well; read from
    *environ* of None they are settled, too.
    """
    surroundings = environment() if environ is None else environ
    found = collect(wanted(), env_file, surroundings, outgoing.NAMES)
    reach = outgoing.in_force(surroundings, found.beside)
    found.findings.extend(outgoing.judge(reach))
    secret = {field for field, info in Settings.model_fields.items() if a.is_secret(info)}
    values: dict[str, Any] = {
        field: SecretStr(given.value) if field in secret else given.value for field, given in found.given.items()
    }
    try:
        settings = Settings(**values)
    except ValidationError as error:
        found.findings.extend(_translate(error, found))
    else:
        if environ is None and not found.findings:
            found.notes.extend(outgoing.settle(reach, environment()))
        settings._notes = tuple(found.notes)  # noqa: SLF001 the only way to write to a frozen pydantic model after validation
    if found.findings:
        raise SettingsInvalid(_lines(found)) from None
    return settings


def _translate(error: ValidationError, found: Collected) -> list[SettingError]:
    by_field = {want.field: want for want in wanted()}
    findings: dict[str, SettingError] = {}
    for entry in error.errors(include_url=False, include_input=False):
        want = by_field[str(entry["loc"][0])]
        given = found.given.get(want.field)
        name, origin = (given.name, given.origin) if given else (want.names[0], DEFAULT)
        told = entry.get("ctx", {}).get("error")
        code = told.code if isinstance(told, Wrong) else entry["type"]
        findings.setdefault(want.field, SettingError(name, origin, code, want.remedy))
    return list(findings.values())


def _lines(found: Collected) -> list[str]:
    given = found.given.get("default_language")
    language: Language = "en" if given is not None and given.value.strip().lower() == "en" else "ru"
    return list(dict.fromkeys(finding.line(language) for finding in found.findings))
