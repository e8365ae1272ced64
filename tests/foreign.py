"""A database that somebody else has made."""

from dataclasses import dataclass

import psycopg
from sqlalchemy.engine import make_url


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
