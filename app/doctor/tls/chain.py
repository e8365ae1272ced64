"""The chain: its order in the files, and whether it reaches a root."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cryptography import x509

from app.doctor.finding import Finding
from app.doctor.tls.aia import FIELDS_UNREADABLE, issuer_urls
from app.doctor.tls.case import Case
from app.doctor.tls.combined import taken_apart
from app.doctor.tls.renewal import certbot_renews, is_there, lineage_of
from app.doctor.tls.voice import say
from app.tls.certificates import subject_of
from app.tls.chain import anchor_of
from app.tls.ways import is_root, issued_by

FULL_CHAIN = "fullchain.pem"  # certbot's name for leaf and intermediates; its cert.pem is the leaf alone
SHOWN_KEY = 8  # bytes of a key identifier: enough to tell two keys of one name apart


def judge_order(case: Case) -> Iterator[Finding]:
    """Name certificates out of order, duplicate or superfluous: this server corrects that, nginx does not."""
    paths, chain, language = case.paths, case.pair.chain, case.language
    command = _by_hand(case)

    def tell(code: str, **values: object) -> Finding:
        return say(code, language, command=command, fixable=case.rewritable, **values)

    for certificate in dict.fromkeys(c for c in case.own if case.own.count(c) > 1):
        yield tell("chain.duplicate", file=paths.cert, subject=subject_of(certificate))
    for certificate in _astray(case.own, case):
        if _leads_elsewhere(certificate, case):
            yield _remark(case, certificate, paths.cert)
            continue
        code = "chain.root_included" if is_root(certificate) else "chain.unrelated"
        yield tell(code, file=paths.cert, subject=subject_of(certificate))
    if not _in_order(case.own, chain):
        yield tell("chain.order", file=paths.cert)
    elif not set(chain) <= set(case.own) and not _in_order((*case.own, *case.bundle), chain):
        yield tell("chain.order", file=paths.ca_bundle)
    if paths.ca_bundle != paths.cert:
        yield from _judge_bundle(case)


def _judge_bundle(case: Case) -> Iterator[Finding]:
    paths = case.paths
    look = f"openssl storeutl -noout -text -certs {shlex.quote(str(paths.ca_bundle))}"
    for certificate in _astray(case.bundle, case):
        if _leads_elsewhere(certificate, case):
            yield _remark(case, certificate, paths.ca_bundle)
        elif not is_root(certificate):  # authorities put it into the bundle; it is left out when serving
            subject = subject_of(certificate)
            yield say("chain.unrelated", case.language, command=look, file=paths.ca_bundle, subject=subject)


def _leads_elsewhere(certificate: x509.Certificate, case: Case) -> bool:
    """Whether it stands above our leaf on another way than the one taken, such as a cross-sign of a root."""
    if is_root(certificate):
        return False
    known = dict.fromkeys([*case.pair.chain, *case.own, *case.bundle, *case.roots])
    ours = {*case.pair.chain, anchor_of(case.pair.chain, case.roots)}
    below = [one for one in known if one in ours or (one != certificate and not is_root(one))]
    return any(one.issuer == certificate.subject and issued_by(one, certificate) for one in below) or any(
        one is not None and one.subject == certificate.subject and one.public_key() == certificate.public_key()
        for one in ours
    )


def _remark(case: Case, certificate: x509.Certificate, file: Path) -> Finding:
    until = f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    subject, issuer = subject_of(certificate), certificate.issuer.rfc4514_string()
    return say("chain.other_way", case.language, file=file, subject=subject, issuer=issuer, until=until)


def _astray(lying: Sequence[x509.Certificate], case: Case) -> list[x509.Certificate]:
    """Return those not of the chain, once each; without namesakes of the missing issuer, which judge_climb names."""
    chain = case.pair.chain
    missing = chain[-1].issuer if anchor_of(chain, case.roots) is None else None
    return [c for c in dict.fromkeys(lying) if c not in chain and (c.subject != missing or is_root(c))]


def _in_order(lying: Sequence[x509.Certificate], chain: Sequence[x509.Certificate]) -> bool:
    """Whether those that belong to the chain are in its order, without a gap."""
    found = [certificate for certificate in dict.fromkeys(lying) if certificate in chain]
    return found == list(chain[: len(found)])


def _by_hand(case: Case) -> str | None:
    """Return what to run where --fix may not write the file; None where the command of the finding applies."""
    if case.rewritable:
        return None
    lineage = lineage_of(case.paths.cert)
    return taken_apart(case.paths) if lineage is None else certbot_renews(lineage)


def judge_climb(case: Case) -> Finding:
    """Say why the chain, which reaches none of the roots, is incomplete."""
    paths, language, top = case.paths, case.language, case.pair.chain[-1]
    issuer, key, urls = top.issuer.rfc4514_string(), issuer_key_of(top), issuer_urls(top)
    lineage = lineage_of(paths.cert)
    command = _by_hand(case)
    shown: dict[str, Any] = {"issuer": issuer, "key": key or "?", "cert": paths.cert, "bundle": paths.ca_bundle}
    fixable = bool(urls) and case.rewritable
    whole = paths.cert.with_name(FULL_CHAIN)
    if lineage is not None and paths.cert.name != FULL_CHAIN and is_there(whole):
        return say("chain.not_full", language, file=paths.cert, whole=whole)
    namesake = next((c for c in (*case.own, *case.bundle) if c.subject == top.issuer and c != top), None)
    if namesake is not None and not issued_by(top, namesake):
        found = own_key_of(namesake) or "?"
        return say("chain.issuer_other_key", language, command=command, fixable=fixable, found=found, **shown)
    if urls:
        return say("chain.issuer_missing", language, command=command, fixable=fixable, url=urls[0], **shown)
    return say("chain.issuer_unknown", language, command=command, **shown)


def issuer_key_of(certificate: x509.Certificate) -> str | None:
    """Write the beginning of the issuer's key identifier as the certificate gives it (AKI); None where it does not."""
    try:
        key = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except (x509.ExtensionNotFound, *FIELDS_UNREADABLE):
        return None
    return key[:SHOWN_KEY].hex(":").upper() if key is not None else None


def own_key_of(certificate: x509.Certificate) -> str | None:
    """Write the beginning of the certificate's own key identifier (SKI); None where it has none."""
    try:
        key = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (x509.ExtensionNotFound, *FIELDS_UNREADABLE):
        return None
    return key[:SHOWN_KEY].hex(":").upper()
