"""What is said about a PostgreSQL database that this server cannot work on, and the statement that mends it."""

from dataclasses import dataclass

from app.domain.language import Bilingual, Language, pick

# Code: (what is wrong, what to do, as whom it stands in front of).
WORDS: dict[str, tuple[Bilingual, Bilingual]] = {
    "encoding": (
        (
            "база {database} в кодировке {encoding}, а имена и ответы fal бывают на любом языке",
            "the database {database} is encoded in {encoding}, and names and fal's answers come in any language",
        ),
        (
            "Создайте базу в UTF8 и перенесите туда бота (pg_dump, psql)",
            "Make a database in UTF8 and move the bot there (pg_dump, psql)",
        ),
    ),
    "no_schema": (
        (
            "роли {role} не открыта ни одна схема из её search_path ({path})",
            "the role {role} may use no schema of its search_path ({path})",
        ),
        ("Откройте ей схему", "Open a schema to it"),
    ),
    "no_create": (
        (
            "роли {role} нельзя создавать таблицы в схеме {schema}",
            "the role {role} may not create tables in the schema {schema}",
        ),
        ("Разрешите ей", "Let it"),
    ),
    "not_owner": (
        (
            "наши таблицы принадлежат роли {owner}, и изменить их роль {role} не может",
            "our tables belong to the role {owner}, and the role {role} cannot change them",
        ),
        (
            "Выполните aisha-webhook migrate с DATABASE_URL той роли или отдайте таблицы этой",
            "Run aisha-webhook migrate with that role's DATABASE_URL, or give the tables to this one",
        ),
    ),
    "ours_denied": (
        (
            "роли {role} не хватает прав на наши таблицы, их создала роль {owner} ({missing})",
            "the role {role} lacks rights on our tables, which the role {owner} made ({missing})",
        ),
        ("Дайте их", "Grant them"),
    ),
    "ours_missing": (
        (
            "в базе версии {version} нет наших {missing}",
            "the database is at version {version} and lacks {missing} of ours",
        ),
        (
            "Проверьте search_path; если он верен, восстановите копию: docs/backup.md",
            "Check search_path; if it is right, restore a backup: docs/backup.md",
        ),
    ),
    "bots_denied": (
        (
            "роли {role} не хватает прав на таблицы бота ({missing})",
            "the role {role} lacks rights on the bot's tables ({missing})",
        ),
        ("Дайте их", "Grant them"),
    ),
    "elsewhere": (
        (
            "таблица avatars лежит в схеме {schema}, а search_path роли {role} ведёт мимо неё ({path})",
            "the table avatars stands in the schema {schema}, which the role {role} does not look into ({path})",
        ),
        (
            "Допишите в DATABASE_URL options=-csearch_path%3D{schema} или настройте роль",
            "Add options=-csearch_path%3D{schema} to DATABASE_URL, or set it for the role",
        ),
    ),
    "closed_schema": (
        (
            "таблица avatars лежит в схеме {schema}, которая роли {role} закрыта",
            "the table avatars stands in the schema {schema}, which is closed to the role {role}",
        ),
        ("Откройте её", "Open it"),
    ),
    "version_odd": (
        (
            "в webhook_schema_version {found}, а должен быть один номер миграции",
            "webhook_schema_version holds {found}, and one migration's number is expected",
        ),
        ("Наши таблицы целы, поэтому впишите номер", "Our tables are whole, so write the number"),
    ),
    "version_alone": (
        (
            "в webhook_schema_version {found}, а наших таблиц нет",
            "webhook_schema_version holds {found}, and no table of ours is there",
        ),
        ("Удалите её и повторите aisha-webhook migrate", "Drop it and run aisha-webhook migrate again"),
    ),
    "version_lost": (
        (
            "в webhook_schema_version {found}, и части наших таблиц нет",
            "webhook_schema_version holds {found}, and some of our tables are missing",
        ),
        ("Восстановите копию: docs/backup.md", "Restore a backup: docs/backup.md"),
    ),
    "statement_mode": (
        (
            "PgBouncer работает в режиме statement, в котором нет транзакций",
            "PgBouncer is in statement mode, which has no transactions",
        ),
        ("Задайте в pgbouncer.ini pool_mode = transaction", "Set pool_mode = transaction in pgbouncer.ini"),
    ),
}


@dataclass(frozen=True, slots=True)
class Shortcoming:
    """One thing that is wrong with the database, in the operator's language; `sql` mends it where SQL can."""

    code: str
    cause: str
    remedy: str
    database: str
    sql: str = ""

    def __str__(self) -> str:
        return f"{self.cause}. {self.remedy}: {self.sql}" if self.sql else f"{self.cause}. {self.remedy}"


def shortcoming(code: str, language: Language, database: str, sql: str = "", **facts: object) -> Shortcoming:
    """Word what is wrong. Raises KeyError for a code or a fact that is not there."""
    cause, remedy = (pick(words, language).format(database=database, **facts) for words in WORDS[code])
    return Shortcoming(code, cause, remedy, database, sql)
