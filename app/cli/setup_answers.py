"""The answers of `aisha-webhook setup`: what stands there already, what is given, and what of it is to be written."""

import os
import pwd
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values
from pydantic import SecretStr

from app.cli.env_lines import with_values
from app.cli.setup_checks import QUESTIONS, Question, shown_url
from app.cli.unit_group import may_give_to, unit_group
from app.core import setting_meta as meta
from app.core.config import Settings
from app.core.setting_loader import load_settings
from app.core.setting_sources import environment
from app.db.url import sqlite_file
from app.domain.errors import DatabaseUnfit, SettingsInvalid
from app.domain.language import Language
from app.files.atomic_write import put

PRIVATE = 0o600
REMOVE = "-"
ORIGIN = re.compile(r" \((?:окружение|environment)\)")  # an answer is judged as if it came from there


class Answers:
    """What is known while the questions are asked. `settings` follow the answers; `changed` holds names and values.

    Where the settings as they are do not fit, `complaint` says why, and defaults stand in for them.
    """

    def __init__(self, env_file: Path) -> None:
        self.env_file = env_file
        self.changed: dict[str, str] = {}
        self.complaint = ""
        try:
            self.settings = load_settings(env_file)
        except SettingsInvalid as error:
            self.complaint = str(error)
            self.settings = load_settings(None, _language_only(env_file))
            self._take_what_fits()

    @property
    def language(self) -> Language:
        """The operator's language, as far as it is known."""
        return self.settings.operator_language

    def stands_in_environment(self, question: Question) -> str | None:
        """Return the name of the environment variable that sets this field, which outranks .env; None without one."""
        there = environment()
        names = _names(question.field)
        return next((name for name in (*names, *(f"{one}_FILE" for one in names)) if name in there), None)

    def shown(self, question: Question) -> str | None:
        """Spell what stands there, as far as it may be shown: '' for a secret, None for nothing."""
        value = getattr(self.settings, question.field)
        if value is None:
            return None
        if not isinstance(value, SecretStr):
            return str(value)
        if question.field != "database_url":
            return ""
        try:
            return shown_url(value.get_secret_value())
        except DatabaseUnfit:
            return ""

    def take(self, question: Question, answer: str) -> None:
        """Take one answer; `-` removes the value. Raises SettingsInvalid in the operator's language."""
        name = meta.env_name(question.field)
        value = "" if answer == REMOVE else answer
        if not value and self.shown(question) is None:
            return
        self.settings = self._with(question.field, value)
        self.changed[name] = value

    def write(self) -> int:
        """Put the answers into the file and return its mode. Raises OSError, UnicodeError, NotWritable.

        Owner and group stay; nobody but the owner may read it, or the group that was given it on purpose. Where
        systemd runs the server, its group is given it now, if this account may do that.
        """
        spellings = {
            meta.env_name(one.field): tuple(
                spelled
                for name in _names(one.field)
                for spelled in (name, f"{name}_FILE")
                if spelled != meta.env_name(one.field)
            )
            for one in QUESTIONS
        }
        target, mode = self.env_file.resolve(), PRIVATE
        try:
            text, status = target.read_bytes().decode("utf-8-sig"), target.stat()
        except FileNotFoundError:
            text, owner = "", (os.geteuid(), os.getegid())
        else:
            owner = (status.st_uid, status.st_gid)
            mode |= status.st_mode & stat.S_IRGRP if _is_given(status) else 0
        group = unit_group()
        if group is not None and mode == PRIVATE and may_give_to(group):
            mode, owner = PRIVATE | stat.S_IRGRP, (owner[0], group.gr_gid)
        put(target, with_values(text, self.changed, spellings).encode(), mode=mode, owner=owner)
        return mode

    def sqlite_file(self) -> Path | None:
        """Return SQLite's file of the database that was chosen."""
        return sqlite_file(self.settings.database_url.get_secret_value())

    def _with(self, field: str, value: str) -> Settings:
        given: dict[str, str] = {"DEFAULT_LANGUAGE": self.settings.default_language}
        if value:
            given[meta.env_name(field)] = value
        try:
            judged = load_settings(None, given)
        except SettingsInvalid as error:
            raise SettingsInvalid([ORIGIN.sub("", line) for line in error.findings]) from None
        return self.settings.model_copy(update={field: getattr(judged, field)})

    def _take_what_fits(self) -> None:
        found = _read(self.env_file)
        for one in QUESTIONS:
            value = next((found[name] for name in _names(one.field) if found.get(name)), None)
            if value:
                try:
                    self.settings = self._with(one.field, value)
                except SettingsInvalid:
                    continue


def _names(field: str) -> tuple[str, ...]:
    return meta.names(field, Settings.model_fields[field])


def _read(env_file: Path) -> Mapping[str, str | None]:
    try:
        return dotenv_values(env_file)
    except (OSError, UnicodeError):
        return {}


def _language_only(env_file: Path) -> dict[str, str]:
    value = environment().get("DEFAULT_LANGUAGE") or _read(env_file).get("DEFAULT_LANGUAGE") or ""
    return {"DEFAULT_LANGUAGE": "en"} if value.strip().lower() == "en" else {}


def _is_given(status: os.stat_result) -> bool:
    """Tell whether the file's group is another than its owner's own: somebody let an account in."""
    try:
        return pwd.getpwuid(status.st_uid).pw_gid != status.st_gid
    except KeyError:
        return True
