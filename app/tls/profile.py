"""Mozilla's recommendations for TLS: https://ssl-config.mozilla.org/guidelines/5.7.json."""

import ssl
from dataclasses import dataclass
from typing import Literal

import structlog

from app.tls.groups import GroupsUnset, restrict_groups

log = structlog.get_logger(__name__)

ProfileName = Literal["intermediate", "modern"]


@dataclass(frozen=True, slots=True)
class Profile:
    """What a handshake may use. `ciphers` are those of TLS 1.2; the three of TLS 1.3 are always on."""

    name: ProfileName
    oldest: ssl.TLSVersion
    # Forward secrecy and AEAD only. Mozilla lists three DHE suites, too: only clients older than 2014 need them.
    ciphers: str = (
        "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
        "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
        "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
    )
    groups: tuple[str, ...] = ("X25519", "P-256", "P-384")


PROFILES: dict[ProfileName, Profile] = {
    "intermediate": Profile("intermediate", ssl.TLSVersion.TLSv1_2),
    "modern": Profile("modern", ssl.TLSVersion.TLSv1_3),
}


def hardened(profile: Profile) -> ssl.SSLContext:
    """Make a server's context of `profile`, without its groups."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    harden(context, profile)
    return context


def harden(context: ssl.SSLContext, profile: Profile) -> None:
    """Give a server's context all of `profile` but its groups."""
    context.minimum_version = profile.oldest
    context.set_ciphers(profile.ciphers)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # All six are strong, so the client chooses: it knows which is fastest on its hardware.
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE


def choose_groups(context: ssl.SSLContext, profile: Profile) -> None:
    """Offer the groups of `profile` only; where that is impossible OpenSSL's defaults stay, which is logged."""
    try:
        restrict_groups(context, profile.groups)
    except GroupsUnset as reason:
        log.warning("tls.groups_unset", profile=profile.name, reason=str(reason))
