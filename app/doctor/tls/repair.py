"""Repairs of the certificate's files that lose nothing and write only what can be served."""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from app.doctor.access import Reader
from app.doctor.finding import Finding
from app.doctor.rewrite import rewrite
from app.doctor.tls.aia import issuer_urls
from app.doctor.tls.combined import more_inside, taken_apart
from app.doctor.tls.examination import Examined
from app.doctor.tls.files import OTHERS_MAY
from app.doctor.tls.renewal import certbot_renews, lineage_of
from app.doctor.tls.voice import say, say_broken
from app.domain.errors import AishaError
from app.domain.language import Language
from app.files.ownership import ROOT
from app.tls.certificates import subject_of
from app.tls.chain import put_together
from app.tls.pair_files import PairBroken, PairPaths, plain, read_content
from app.tls.served import ServedPair
from app.tls.ways import issued_by

CLIMB_CODES = {"chain.issuer_missing", "chain.issuer_other_key"}
CHAIN_CODES = CLIMB_CODES | {"chain.order", "chain.duplicate", "chain.root_included", "chain.unrelated"}
TEXT_CODES = ("files.byte_order_mark", "files.windows_lines")


class RepairRefused(AishaError):
    """A repair was not made, and nothing changed; `finding` says why and what to do instead."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.finding = finding


def fix_chain(
    paths: PairPaths, issuers: Sequence[x509.Certificate], language: Language = "ru", now: datetime | None = None
) -> Path | None:
    """Make the certificate's file a full chain: leaf, intermediates in order, no root, so that nginx gets them, too.

    The intermediates are taken from the files and from `issuers`; of several ways up, the one is written that verifies
    at `now` (None: dates decide nothing). Returns the backup; None when the file is so
    already. Raises RepairRefused (certbot owns the file, it holds more than certificates, or nothing found signed the
    last certificate), CertificateBroken (the key does not belong to it), OSError (not writable).
    """
    lineage = lineage_of(paths.cert)
    if lineage is not None:
        raise RepairRefused(say("repair.renewal_owned", language, command=certbot_renews(lineage), file=paths.cert))
    content = read_content(paths, language)
    if kinds := more_inside(content.cert):
        inside, command = ", ".join(kinds), taken_apart(paths)
        raise RepairRefused(
            say(
                "repair.more_inside",
                language,
                command=command,
                file=paths.cert,
                kinds=inside,
                bundle=paths.ca_bundle,
            )
        )
    fetched = b"".join(issuer.public_bytes(Encoding.PEM) for issuer in issuers)
    after = put_together(replace(content, cert=content.cert + b"\n" + fetched), paths, language, now)
    if issuers and not any(_serves(issuer, after) for issuer in issuers):
        subject = subject_of(after.chain[-1])
        raise RepairRefused(say("repair.no_issuer", language, file=paths.cert, subject=subject, bundle=paths.ca_bundle))
    if paths.cert.read_bytes() == after.chain_pem:
        return None
    return rewrite(paths.cert, after.chain_pem)


def _serves(issuer: x509.Certificate, pair: ServedPair) -> bool:
    return issuer in pair.chain or issued_by(pair.chain[-1], issuer)


def fixes(
    paths: PairPaths,
    seen: Examined,
    issuers: Sequence[x509.Certificate],
    language: Language,
    reader: Reader | None = None,
) -> list[Finding]:
    """Make every safe repair that `seen` calls for; return a finding for each that was made, or could not be.

    `issuers` are what fetch_issuers found above the last certificate of `seen.pair`; empty where nothing was fetched.
    `reader` is the account that the server runs under; where it is not known, the folder's owner is taken for it.
    A second call finds nothing left to do.
    """
    return [
        *_tried(partial(_close_key, reader=reader), paths.key, paths, seen, language),
        *mend_chain(paths, seen, issuers, language),
        *_tried(_plain_text, paths.cert, paths, seen, language),
    ]


def mend_chain(
    paths: PairPaths, seen: Examined, issuers: Sequence[x509.Certificate], language: Language
) -> list[Finding]:
    """Make the repairs of the chain alone; returns what fixes() returns."""

    def mend(paths: PairPaths, seen: Examined, language: Language) -> Iterator[Finding]:
        if seen.pair is None:
            return
        kept = lineage_of(paths.cert) is not None or bool(more_inside(paths.cert.read_bytes()))
        codes = {finding.code for finding in seen.findings if finding.fixable or kept}
        if not codes & CHAIN_CODES:
            return
        if codes & CLIMB_CODES and not issuers and not kept:
            top = seen.pair.chain[-1]
            url = next(iter(issuer_urls(top)), "?")
            yield say(
                "repair.not_fetched",
                language,
                issuer=top.issuer.rfc4514_string(),
                url=url,
                bundle=paths.ca_bundle,
            )
        backup = fix_chain(paths, issuers, language, seen.at)
        pair = put_together(read_content(paths, language), paths, language, seen.at)
        if backup is not None:
            yield say("repair.chain", language, file=paths.cert, count=len(pair.chain), backup=backup)
        elif codes & CLIMB_CODES and issuers:
            # The fetched chain ends at a root that this system does not trust.
            yield say("repair.root_untrusted", language, root=subject_of(issuers[-1]))

    return _tried(mend, paths.cert, paths, seen, language)


def needs_issuers(seen: Examined) -> bool:
    """Whether the chain is incomplete and its last certificate names an address for fetch_issuers."""
    return seen.pair is not None and any(finding.fixable and finding.code in CLIMB_CODES for finding in seen.findings)


def _close_key(paths: PairPaths, seen: Examined, language: Language, reader: Reader | None) -> Iterator[Finding]:
    # Only a file that was just read as the key of this certificate: root must not change the mode of any other.
    if seen.pair is None or not any(finding.code == "files.key_open" for finding in seen.findings):
        return
    target = paths.key.resolve(strict=True)
    # In a folder of another account the path may be replaced by a link after the check; a descriptor cannot be.
    descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status, folder = os.fstat(descriptor), target.parent.stat()
        before = stat.S_IMODE(status.st_mode)
        mode = before & ~OTHERS_MAY
        if mode == before:
            return
        if reader is not None:
            if reader.would_lose(before=before, after=mode, uid=status.st_uid, gid=status.st_gid):
                yield say("repair.key_of_server", language, file=paths.key, user=reader.name, group=reader.group)
                return
        elif not _stays_readable(status, folder):
            yield say("repair.key_of_another", language, file=paths.key, owner=folder.st_uid, group=folder.st_gid)
            return
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)
    yield say("repair.key_mode", language, file=paths.key, mode=f"{mode:04o}", before=f"{before:04o}")


def _stays_readable(key: os.stat_result, folder: os.stat_result) -> bool:
    """Whether the server, taken for the owner of the folder, reads the key as its owner or through a group."""
    if key.st_uid == folder.st_uid:
        return True
    by_group = key.st_mode & stat.S_IRGRP and key.st_gid != ROOT
    return bool(by_group) and (key.st_uid == ROOT or key.st_gid == folder.st_gid)


def _plain_text(paths: PairPaths, seen: Examined, language: Language) -> Iterator[Finding]:
    if seen.pair is None or not any(finding.code in TEXT_CODES for finding in seen.findings):
        return
    for path in dict.fromkeys((paths.cert, paths.key, paths.ca_bundle)):
        if not path.exists() or lineage_of(path) is not None:
            continue
        content = path.read_bytes()
        if plain(content) != content:
            yield say("repair.text", language, file=path, backup=rewrite(path, plain(content)))


def _tried(
    repair: Callable[[PairPaths, Examined, Language], Iterator[Finding]],
    file: Path,
    paths: PairPaths,
    seen: Examined,
    language: Language,
) -> list[Finding]:
    """Make one repair; a refusal or an error becomes a finding."""
    done: list[Finding] = []
    try:
        done.extend(repair(paths, seen, language))
    except RepairRefused as refused:
        done.append(refused.finding)
    except PairBroken as error:
        done.append(say_broken(error, language))
    except OSError as error:
        done.append(say("repair.unwritable", language, file=error.filename or file, reason=error.strerror or ""))
    return done
