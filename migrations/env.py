"""Run our migrations; the bot's tables are never proposed for a change."""

from alembic import context

from app.db.migrate import open_for_migration
from app.db.tables import VERSION_TABLE, metadata


def ours(name: str | None, kind: str, _parents: object) -> bool:
    """Tell whether a table found in the database is one of ours."""
    return kind != "table" or name in metadata.tables


def run() -> None:
    """Migrate in one transaction on the URL that the caller set."""
    url = context.config.attributes.get("database_url") or context.get_x_argument(as_dictionary=True)["url"]
    with open_for_migration(url) as connection:
        context.configure(
            connection=connection,
            target_metadata=metadata,
            version_table=VERSION_TABLE,
            include_name=ours,
            transactional_ddl=True,
            render_as_batch=True,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
