"""Compares what a port serves with what the files hold."""

import socket
import ssl
from typing import Any

from cryptography import x509

from app.doctor.finding import Finding, reason_of
from app.doctor.tls.voice import say
from app.domain.language import Language
from app.tls.certificates import subject_of
from app.tls.names import address_of, ascii_name
from app.tls.served import ServedPair

CONNECT_SECONDS = 5.0  # for connecting, and for each read of the handshake
DER = 2  # _ssl.ENCODING_DER


def examine_served(
    address: tuple[str, int], server_name: str, expected: ServedPair | None, language: Language
) -> list[Finding]:
    """Shake hands with `address` as a client of `server_name`, and compare the chain with `expected`; blocks.

    The certificate is not verified: an untrusted chain must be seen, too.
    """
    port, place = address[1], _place(address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    name = None if address_of(server_name) else ascii_name(server_name)
    try:
        with (
            socket.create_connection(address, timeout=CONNECT_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=name) as shaken,
        ):
            version, chain = shaken.version(), _chain_of(shaken)
    except ConnectionRefusedError:
        return [say("served.refused", language, address=place)]
    except (ssl.SSLError, ConnectionError) as error:
        reason = (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or type(error).__name__
        return [say("served.no_tls", language, address=place, reason=reason, port=port)]
    except (OSError, ValueError) as error:
        return [say("served.unreachable", language, address=place, reason=reason_of(error), port=port)]
    return [_compared(address, str(version), chain, expected, language)]


def _place(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _compared(
    address: tuple[str, int], version: str, chain: list[bytes], expected: ServedPair | None, language: Language
) -> Finding:
    port, place = address[1], _place(address)
    served = [x509.load_der_x509_certificate(certificate) for certificate in chain]
    leaf = served[0]
    if expected is None:
        return say("served.seen", language, address=place, subject=subject_of(leaf), version=version)
    if leaf != expected.leaf:
        until = f"{leaf.not_valid_after_utc:%Y-%m-%d}"
        return say(
            "served.other_certificate", language, address=place, subject=subject_of(leaf), until=until, port=port
        )
    if tuple(served) != expected.chain:
        return say(
            "served.other_chain",
            language,
            address=place,
            served=" ← ".join(subject_of(certificate) for certificate in served),
            expected=" ← ".join(subject_of(certificate) for certificate in expected.chain),
            port=port,
        )
    return say("served.ok", language, address=place, count=len(served), version=version)


def _chain_of(connection: ssl.SSLSocket) -> list[bytes]:
    """Return the certificates as sent, DER, leaf first."""
    public = getattr(connection, "get_unverified_chain", None)
    if public is not None:  # Python 3.13
        return list(public())
    inner: Any = connection._sslobj  # type: ignore[attr-defined]  # noqa: SLF001  Python 3.10 to 3.12 has it there only
    return [certificate.public_bytes(DER) for certificate in inner.get_unverified_chain()]
