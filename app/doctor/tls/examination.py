"""Examines the certificate's files: form, chain, dates, names, keys and trust."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

from app.doctor.finding import Finding
from app.doctor.tls.case import Case
from app.doctor.tls.chain import judge_order
from app.doctor.tls.combined import more_inside
from app.doctor.tls.dates import judge_dates
from app.doctor.tls.files import judge_key_mode, judge_text, read_pair
from app.doctor.tls.keys import judge_keys
from app.doctor.tls.names import judge_names
from app.doctor.tls.renewal import lineage_of, renews
from app.doctor.tls.trust import judge_trust
from app.doctor.tls.voice import say, say_broken
from app.domain.language import Language
from app.tls.certificates import ODD, facts_of
from app.tls.chain import certificates_in
from app.tls.pair_files import PairPaths, broken
from app.tls.roots import system_roots
from app.tls.served import ServedPair
from app.tls.ways import is_root


@dataclass(frozen=True, slots=True)
class Examined:
    """The findings about the files, and the pair they hold; None when they cannot be served. `at` is when it was."""

    findings: tuple[Finding, ...]
    pair: ServedPair | None
    at: datetime | None = None


def examine_files(
    paths: PairPaths,
    names: Sequence[str],
    now: datetime,
    language: Language,
    roots: Sequence[x509.Certificate] | None = None,
) -> Examined:
    """Look at the three files as they stand at `now`; raises nothing, whatever they hold.

    `names` are the DNS names and addresses that clients use; `roots` defaults to the system's. No connection is made:
    the port is examined by examine_served.
    """
    with warnings.catch_warnings():
        # A serial number below one, which a later release of cryptography will reject, must not print a warning.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        try:
            trusted = system_roots() if roots is None else roots
            read = read_pair(paths, language, now, trusted)
        except ODD as error:
            return Examined((_odd(error, paths, language),), None)
        if isinstance(read, list):
            return Examined((*read, *judge_key_mode(paths, language)), None)
        content, pair = read
        findings = [say("files.ok", language, cert=paths.cert, key=paths.key)]
        findings += judge_text(paths, language)
        findings += judge_key_mode(paths, language)
        try:
            case = Case(
                paths=paths,
                pair=pair,
                own=_held(content.cert, paths.cert, paths, language),
                bundle=_held(content.ca_bundle, paths.ca_bundle, paths, language),
                names=names,
                now=now,
                roots=trusted,
                rewritable=lineage_of(paths.cert) is None and not more_inside(content.cert),
                renewal=renews(paths, names[0] if names else "localhost", self_signed=is_root(pair.leaf)),
                language=language,
            )
            findings += _judge(case)
        except ODD as error:
            findings.append(_odd(error, paths, language))
        return Examined(tuple(findings), pair, now)


def _held(content: bytes, file: Path, paths: PairPaths, language: Language) -> tuple[x509.Certificate, ...]:
    return tuple(certificates_in(content, file, paths, language)) if content else ()


def _judge(case: Case) -> Iterator[Finding]:
    facts = facts_of(case.pair.leaf, case.now)
    told = [
        *judge_dates(case.pair.chain, case.now, case.language, case.renewal),
        *judge_names(facts.names, case.names, case.language, case.renewal),
        *judge_keys(case.pair.chain, facts.key_type, case.language, case.renewal),
    ]
    yield from told
    yield from judge_order(case)
    yield from judge_trust(case, told)


def _odd(error: Exception, paths: PairPaths, language: Language) -> Finding:
    return say_broken(broken("odd", paths.cert, paths, language, type(error).__name__), language)
