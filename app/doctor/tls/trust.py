"""Whether clients would trust the chain: verified as they do, by the system's roots, now and a third of a life on."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from app.doctor.finding import Finding, Level
from app.doctor.tls.case import Case
from app.doctor.tls.chain import judge_climb
from app.doctor.tls.voice import say
from app.domain.alert_rules import WARN_LEFT
from app.tls.certificates import facts_of, subject_of
from app.tls.chain import anchor_of
from app.tls.names import address_of, ascii_name, covers
from app.tls.ways import is_root

UNVERIFIABLE = "keys.digest"  # cryptography no longer verifies such a signature, so the issuer cannot be found
NEVER_VERIFIES = "keys.ed25519"  # the Baseline Requirements allow no such key, though OpenSSL serves it


def judge_trust(case: Case, told: Sequence[Finding]) -> Iterator[Finding]:
    """Judge the chain by the roots; what `told` explains (an expired date, a weak key) is not reported twice."""
    pair, roots, language = case.pair, case.roots, case.language
    if is_root(pair.leaf) and pair.leaf not in roots:
        yield say("trust.self_signed", language, name=case.names[0] if case.names else "localhost")
        return
    if any(finding.code == UNVERIFIABLE for finding in told):
        return
    if not roots:
        yield say("trust.no_roots", language)
        return
    anchor = anchor_of(pair.chain, roots)
    if anchor is None:
        yield judge_climb(case)
        return
    subjects = " ← ".join(subject_of(certificate) for certificate in pair.chain)
    yield say("chain.ok", language, subjects=subjects, root=subject_of(anchor))
    if any(finding.level is Level.FAIL or finding.code == NEVER_VERIFIES for finding in told):
        return
    reason = _refusal(case, case.now)
    if reason is not None:
        yield say("trust.refused", language, reason=reason, cert=case.paths.cert)
        return
    leaf = pair.leaf
    ahead = (leaf.not_valid_after_utc - leaf.not_valid_before_utc) * WARN_LEFT  # six days or a year: both are ordinary
    later = _refusal(case, case.now + ahead)
    if later is None:
        yield say("trust.ok", language, count=len(roots), days=ahead.days)
    elif not any(finding.code.startswith("dates.") and finding.level is not Level.OK for finding in told):
        yield say("trust.ends_soon", language, days=ahead.days, reason=later)


def _refusal(case: Case, at: datetime) -> str | None:
    """Verify as a client would at `at`; return why it fails, None when it does not."""
    held = facts_of(case.pair.leaf, at).names
    name = next((wanted for wanted in case.names if any(covers(pattern, wanted) for pattern in held)), None)
    if name is None:
        name = held[0].replace("*", "any", 1) if held else "localhost"
    address = address_of(name)
    subject = x509.IPAddress(address) if address is not None else x509.DNSName(ascii_name(name))
    try:
        verifier = PolicyBuilder().store(Store(list(case.roots))).time(at).build_server_verifier(subject)
        verifier.verify(case.pair.leaf, list(case.pair.chain[1:]))
    except (VerificationError, ValueError) as error:
        return str(error) or type(error).__name__
    return None
