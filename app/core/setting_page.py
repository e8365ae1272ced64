"""Settings as pages: `env.example` and the table of docs/settings.md, both from the fields themselves."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr

from app.catalog import translate
from app.core import setting_meta
from app.core.config import Settings
from app.domain.language import Language, Msgid, msgid

COLUMNS = (msgid("Name"), msgid("Default"), msgid("Meaning"), msgid("Value"))
HEAD = """\
# Настройки / settings: cp env.example .env
# Окружение важнее этого файла, пустое значение — «не задано». Секрет можно дать файлом: ИМЯ_FILE=/путь
# The environment wins over this file, an empty value means "not set". A secret may come from a file: NAME_FILE=/path
"""


def default_text(field: str) -> str:
    """Spell the default of *field* as a person would write it; empty where nothing is set."""
    default = Settings.model_fields[field].default
    match default:
        case None:
            return ""
        case bool():
            return str(default).lower()
        case tuple():
            return ",".join(default)
        case SecretStr():  # DATABASE_URL: the one secret with a default, and that holds no password
            return default.get_secret_value()
        case Path():
            return default.as_posix()
        case _:
            return str(default)


def env_example() -> str:
    """Write the whole `env.example`: every setting with its purpose in two languages and its default."""
    return HEAD + "".join(_example_lines())


def _example_lines() -> Iterator[str]:
    for field, info in Settings.model_fields.items():
        if heading := setting_meta.section(info):
            yield f"\n# --- {_in_both(heading)} ---\n"
        also = "".join(f" (= {alias})" for alias in setting_meta.aliases(info))
        yield f"# {_in_both(setting_meta.purpose(info))}{also}\n{setting_meta.env_name(field)}={default_text(field)}\n"


def _in_both(words: Msgid) -> str:
    return " / ".join(dict.fromkeys((translate(words, "ru"), words)))


def settings_table(language: Language = "en") -> str:
    """Write the Markdown table of every setting: names, default, purpose and what to write; ends with a newline."""
    rows = [tuple(translate(word, language) for word in COLUMNS), ("---",) * len(COLUMNS)]
    for field, info in Settings.model_fields.items():
        names = ", ".join(f"`{name}`" for name in (setting_meta.env_name(field), *setting_meta.aliases(info)))
        if setting_meta.is_secret(info):
            names += " (`_FILE`)"
        default = default_text(field)
        shown = f"`{default}`" if default else translate(setting_meta.shown(info) or Msgid("—"), language)
        purpose = translate(setting_meta.purpose(info), language)
        rows.append((names, shown, purpose, setting_meta.remedy(info).say(language)))
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in rows)
