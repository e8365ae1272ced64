"""Settings as pages: `env.example` and the table of docs/settings.md, both from the fields themselves."""

from pydantic import SecretStr

from app.catalog import translate
from app.core import setting_meta as meta
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
    match Settings.model_fields[field].default:
        case None:
            return ""
        case bool() as switch:
            return str(switch).lower()
        case tuple() as items:
            return ",".join(items)
        case SecretStr() as url:  # DATABASE_URL: the one secret with a default, and that holds no password
            return url.get_secret_value()
        case default:
            return str(default)


def env_example() -> str:
    """Write the whole `env.example`: every setting with its purpose in two languages and its default."""
    page = HEAD
    for field, info in Settings.model_fields.items():
        about = meta.about(info)
        if about.section:
            page += f"\n# --- {_in_both(about.section)} ---\n"
        also = "".join(f" (= {alias})" for alias in about.aliases)
        page += f"# {_in_both(about.purpose)}{also}\n{meta.env_name(field)}={default_text(field)}\n"
    return page


def _in_both(words: Msgid) -> str:
    return " / ".join(dict.fromkeys((translate(words, "ru"), words)))


def settings_table(language: Language = "en") -> str:
    """Write the Markdown table of every setting: names, default, purpose and what to write; ends with a newline."""
    rows = [tuple(translate(word, language) for word in COLUMNS), ("---",) * len(COLUMNS)]
    for field, info in Settings.model_fields.items():
        about, default = meta.about(info), default_text(field)
        names = ", ".join(f"`{name}`" for name in meta.names(field, info))
        shown = f"`{default}`" if default else translate(about.shown, language)
        cells = (translate(about.purpose, language), meta.remedy(info).say(language))
        rows.append((f"{names} (`_FILE`)" if meta.is_secret(info) else names, shown, *cells))
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in rows)
