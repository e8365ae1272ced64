"""One examination of files that make a pair: the common input of all judge_* functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from app.domain.language import Language
from app.tls.pair_files import PairPaths
from app.tls.served import ServedPair


@dataclass(frozen=True, slots=True)
class Case:
    """The pair, the certificates of both files in their order, and the roots and the time to judge them by.

    `names` are the names and addresses that clients use, `renewal` is the command that gets a new certificate,
    `rewritable` whether the certificate's file may be put in order by us.
    """

    paths: PairPaths
    pair: ServedPair
    own: tuple[x509.Certificate, ...]
    bundle: tuple[x509.Certificate, ...]
    names: Sequence[str]
    now: datetime
    roots: Sequence[x509.Certificate]
    rewritable: bool
    renewal: str
    language: Language
