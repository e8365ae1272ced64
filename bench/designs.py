"""What is measured: our server in its variants, and the two baselines."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["ours", "echo", "plain"]


@dataclass(frozen=True, slots=True)
class Design:
    """One column of the comparison. `known`: the trainings are in the database, so that the worker applies them."""

    kind: Kind
    tls: bool
    known: bool = True

    @property
    def name(self) -> str:
        """What the report calls it."""
        what = {"ours": "ours", "echo": "FastAPI echo", "plain": "plain design"}[self.kind]
        tail = "" if self.kind != "ours" else ", trainings known" if self.known else ", trainings unknown"
        return f"{what}, {'TLS' if self.tls else 'HTTP'}{tail}"


DESIGNS = (
    Design("ours", tls=False),
    Design("echo", tls=False),
    Design("plain", tls=False),
    Design("ours", tls=True),
    Design("echo", tls=True),
    Design("ours", tls=False, known=False),
    Design("ours", tls=True, known=False),
)
