"""A database that somebody else has made."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from sqlalchemy.engine import make_url

from tests.postgres import with_database


@dataclass(frozen=True, slots=True)
class Foreign:
    """A database of its own with the bot's tables, and a role that may only connect: the server's."""

    url: str  # as its owner
    role: str
    database: str

    @property
    def role_url(self) -> str:
        return make_url(self.url).set(username=self.role).render_as_string()

    def run(self, *statements: str) -> None:
        """Run statements as the database's owner."""
        with psycopg.connect(self.url, autocommit=True) as owner:
            for statement in statements:
                owner.execute(statement)


@contextmanager
def open_foreign(server: str, template: str) -> Iterator[Foreign]:
    """Copy a database of this PostgreSQL server, make a role without rights, and remove both afterwards."""
    name = f"foreign_{uuid.uuid4().hex[:12]}"
    foreign = Foreign(with_database(server, name), f"clerk_{name[8:]}", name)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        admin.execute(f"CREATE ROLE {foreign.role} LOGIN")
    yield foreign
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        admin.execute(f"DROP ROLE {foreign.role}")
