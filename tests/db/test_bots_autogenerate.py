"""The bot's own Alembic beside our tables."""

import re
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from app.db.tables import metadata
from tests.foreign import Foreign

PAGE = Path(__file__).parents[2] / "docs/postgresql.md"
ENV = """
from alembic import context
from sqlalchemy import MetaData, create_engine

target = MetaData()
{lines}
engine = create_engine(context.config.get_main_option("sqlalchemy.url"))
with engine.connect() as connection:
    target.reflect(connection, only=["users", "avatars"])
    context.configure(connection=connection, target_metadata=target, {argument})
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
"""


def lines_of_the_page() -> str:
    [lines] = re.findall(r"<!-- env: begin -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    text: str = lines
    return text


def proposed(folder: Path, url: str, lines: str, argument: str) -> str:
    """What `alembic revision --autogenerate` writes with this env.py."""
    config = Config(folder / "alembic.ini")
    config.set_main_option("script_location", str(folder / "bot"))
    command.init(config, str(folder / "bot"))
    config.set_main_option("sqlalchemy.url", url.replace("postgresql://", "postgresql+psycopg://").replace("%", "%%"))
    (folder / "bot/env.py").write_text(ENV.format(lines=lines, argument=argument))
    command.revision(config, "a change of the bot's", autogenerate=True)
    [written] = (folder / "bot/versions").glob("*.py")
    return written.read_text()


@pytest.mark.parametrize("is_told", [True, False])
def test_the_page_s_lines_keep_our_tables(
    migrated: Foreign, tmp_path: Path, is_told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """With them nothing of ours is proposed to be dropped; without them everything is."""
    lines = lines_of_the_page() if is_told else ""
    text = proposed(tmp_path, migrated.url, lines, "include_name=include_name" if is_told else "")
    capsys.readouterr()
    dropped = re.findall(r"drop_table\('(\w+)'", text)
    assert set(dropped) == (set() if is_told else {*metadata.tables, "webhook_schema_version"})
    assert ("webhook_" in text) is not is_told
