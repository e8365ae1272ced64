"""What each doubt about a certificate says, by its code; the doctor's findings of these codes say the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.catalog import translate
from app.domain.language import Language, Msgid, msgid

DOUBTS: Mapping[str, Msgid] = {
    "dates.ends_now": msgid("it ends on {until}, {days} days left: less than a sixth"),
    "dates.expired": msgid("it expired on {until}: clients refuse to connect"),
    "dates.not_yet_valid": msgid("it becomes valid only on {since}"),
    "dates.issuer_expired": msgid('the intermediate "{subject}" expired on {until}: the chain will not be believed'),
    "names.uncovered": msgid("the certificate is for {names}, not for {name}: fal and curl will refuse it"),
    "names.none": msgid("the certificate has no names (subjectAltName); clients no longer read the common name"),
    "keys.rsa_short": msgid('"{subject}": the RSA key has {bits} bits, clients and OpenSSL itself ask for 2048'),
    "keys.curve": msgid('"{subject}": the curve is {curve}; clients know P-256, P-384, P-521'),
    "keys.unknown": msgid('"{subject}": a {kind} key is of no use for TLS'),
    "keys.digest": msgid('"{subject}": signed with {digest}, which nobody believes any more'),
}


@dataclass(frozen=True, slots=True)
class Doubt:
    """One reason for clients to refuse: a key of DOUBTS, and what its words are filled with."""

    code: str
    facts: Mapping[str, Any]

    def text(self, language: Language) -> str:
        """Say it in words."""
        return translate(DOUBTS[self.code], language).format(**self.facts)
