"""Every way in which a lineage's files go wrong, with the verdict the doctor must give."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from app.doctor.finding import Level
from tests.authorities import DOMAIN, LIFE, NOW, Lineage, issue

ADDRESS = "http://127.0.0.1/issuer.der"
FIX_CHAIN = "aisha-webhook cert fix-chain"
CERTBOT = "certbot"
SELF_SIGNED = "aisha-webhook cert self-signed"
RSA_SHA256, RSA_SHA1, RSA_MD5 = (bytes.fromhex("2a864886f70d0101") + bytes([last]) for last in (11, 5, 4))

Wreck = Callable[[Lineage], object]


def _leaf(**leaf: object) -> Wreck:
    return lambda lineage: lineage.give(**leaf)


def self_signed(lineage: Lineage) -> None:
    own = issue(DOMAIN, names=[DOMAIN])
    lineage.paths.cert.write_bytes(own.pem)
    lineage.paths.key.write_bytes(own.key_pem)
    lineage.paths.ca_bundle.unlink()


def no_intermediate(lineage: Lineage) -> None:
    lineage.give(address=ADDRESS)
    lineage.paths.ca_bundle.unlink()


def _no_intermediate_nor_address(lineage: Lineage) -> None:
    lineage.paths.ca_bundle.unlink()


def _other_generation(lineage: Lineage) -> None:
    lineage.give(address=ADDRESS)
    lineage.paths.ca_bundle.write_bytes(issue("Test Intermediate", lineage.root).pem)


def _private_root(lineage: Lineage) -> None:
    lineage.root = issue("Another Root")


def wrong_order(lineage: Lineage) -> None:
    lineage.paths.cert.write_bytes(lineage.middle.pem + lineage.leaf.pem)


def _bundle_in_wrong_order(lineage: Lineage) -> None:
    lower = issue("Lower Intermediate", lineage.middle)
    leaf = issue(DOMAIN, lower, names=[DOMAIN])
    lineage.paths.cert.write_bytes(leaf.pem)
    lineage.paths.key.write_bytes(leaf.key_pem)
    lineage.paths.ca_bundle.write_bytes(lineage.middle.pem + lower.pem)


def _twice(lineage: Lineage) -> None:
    lineage.paths.cert.write_bytes(lineage.leaf.pem + lineage.middle.pem * 2)


def _foreign(lineage: Lineage) -> None:
    lineage.paths.cert.write_bytes(lineage.leaf.pem + lineage.middle.pem + issue("Stranger", lineage.root).pem)


def _foreign_in_bundle(lineage: Lineage) -> None:
    lineage.paths.ca_bundle.write_bytes(lineage.middle.pem + issue("Stranger", lineage.root).pem)


def _with_root(lineage: Lineage) -> None:
    lineage.paths.cert.write_bytes(lineage.leaf.pem + lineage.middle.pem + lineage.root.pem)


def _issuer_expired(lineage: Lineage) -> None:
    lineage.middle = issue(
        "Test Intermediate", lineage.root, since=NOW - timedelta(days=9), until=NOW - timedelta(days=1)
    )
    lineage.give()


def _issuer_ends_in_a_week(lineage: Lineage) -> None:
    lineage.middle = issue("Test Intermediate", lineage.root, until=NOW + timedelta(days=7))
    lineage.give()


def _not_for_servers(lineage: Lineage) -> None:
    lineage.middle = issue("Test Intermediate", lineage.root, names=["not an authority"])
    lineage.give()


def _signed_with(oid: bytes) -> Wreck:
    def wreck(lineage: Lineage) -> None:
        """Nobody can sign like that any more: the name of the algorithm is exchanged in the finished certificate."""
        lineage.middle = issue("Test Intermediate", lineage.root, key=rsa.generate_private_key(65537, 2048))
        lineage.give()
        old = x509.load_der_x509_certificate(lineage.leaf.der.replace(RSA_SHA256, oid))
        lineage.paths.cert.write_bytes(old.public_bytes(Encoding.PEM))

    return wreck


def _mismatch(lineage: Lineage) -> None:
    lineage.paths.key.write_bytes(issue("another", names=["x"]).key_pem)


def _encrypted(lineage: Lineage) -> None:
    lineage.paths.key.write_bytes(
        lineage.leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    )


def _der_key(lineage: Lineage) -> None:
    lineage.paths.key.write_bytes(lineage.leaf.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def _changed(name: str, change: Callable[[bytes], bytes]) -> Wreck:
    def wreck(lineage: Lineage) -> None:
        path: Path = getattr(lineage.paths, name)
        path.write_bytes(change(path.read_bytes()))

    return wreck


def _gone(*names: str) -> Wreck:
    def wreck(lineage: Lineage) -> None:
        for name in names:
            getattr(lineage.paths, name).unlink()

    return wreck


def _swapped(lineage: Lineage) -> None:
    lineage.paths.cert.write_bytes(lineage.leaf.key_pem)
    lineage.paths.key.write_bytes(lineage.leaf.pem)


@dataclass(frozen=True)
class Verdict:
    """What must be said: the code, the level, a part of the remedy, a part of the command."""

    wreck: Wreck
    code: str
    level: Level
    remedy: str
    command: str


FAIL, WARN = Level.FAIL, Level.WARN
LONG_AGO = NOW - LIFE
CHAINS = {
    "expired": Verdict(
        _leaf(since=LONG_AGO - timedelta(days=1), until=NOW - timedelta(seconds=1)),
        "dates.expired",
        FAIL,
        "Get a new certificate",
        CERTBOT,
    ),
    "a sixth of the lifetime left": Verdict(
        _leaf(since=NOW - LIFE * 5 / 6, until=NOW + LIFE / 6), "dates.ends_now", FAIL, "Renew it today", CERTBOT
    ),
    "a third of the lifetime left": Verdict(
        _leaf(since=NOW - LIFE * 2 / 3, until=NOW + LIFE / 3), "dates.ends_soon", WARN, "automatic renewal", CERTBOT
    ),
    "not yet valid": Verdict(
        _leaf(since=NOW + timedelta(days=1)), "dates.not_yet_valid", FAIL, "clock of this machine", "timedatectl"
    ),
    "intermediate expired": Verdict(_issuer_expired, "dates.issuer_expired", FAIL, "present intermediate", CERTBOT),
    "intermediate ends within 14 days": Verdict(
        _issuer_ends_in_a_week, "trust.ends_soon", WARN, "together with its intermediates", ""
    ),
    "wrong host": Verdict(
        _leaf(names=["other.kz"]), "names.uncovered", FAIL, f"Order a certificate for {DOMAIN}", CERTBOT
    ),
    "self-signed": Verdict(self_signed, "trust.self_signed", WARN, "Let's Encrypt", CERTBOT),
    "missing intermediate": Verdict(no_intermediate, "chain.issuer_missing", FAIL, ADDRESS, FIX_CHAIN),
    "missing intermediate, no address": Verdict(
        _no_intermediate_nor_address, "chain.issuer_unknown", FAIL, "Ask the issuer", "openssl x509"
    ),
    "intermediate of another generation": Verdict(
        _other_generation, "chain.issuer_other_key", FAIL, "another generation", FIX_CHAIN
    ),
    "private root": Verdict(_private_root, "chain.issuer_unknown", FAIL, "private authority", "openssl x509"),
    "wrong order": Verdict(wrong_order, "chain.order", WARN, "in order", FIX_CHAIN),
    "bundle in wrong order": Verdict(_bundle_in_wrong_order, "chain.order", WARN, "in order", FIX_CHAIN),
    "duplicate": Verdict(_twice, "chain.duplicate", WARN, "in order", FIX_CHAIN),
    "foreign certificate": Verdict(_foreign, "chain.unrelated", WARN, "Take it out", FIX_CHAIN),
    "foreign in the bundle": Verdict(_foreign_in_bundle, "chain.unrelated", WARN, "Take it out", "openssl storeutl"),
    "root sent": Verdict(_with_root, "chain.root_included", WARN, "in order", FIX_CHAIN),
    "issuer is no authority": Verdict(_not_for_servers, "trust.refused", FAIL, "public authority", "openssl verify"),
    "weak key": Verdict(
        _leaf(key=rsa.generate_private_key(65537, 1024)), "keys.rsa_short", FAIL, "Order a new", CERTBOT
    ),
    "rare curve": Verdict(
        _leaf(key=ec.generate_private_key(ec.SECP256K1())), "keys.curve", FAIL, "Order a new", CERTBOT
    ),
    "Ed25519": Verdict(_leaf(key=ed25519.Ed25519PrivateKey.generate()), "keys.ed25519", WARN, "P-256", CERTBOT),
    "Ed448": Verdict(_leaf(key=ed448.Ed448PrivateKey.generate()), "keys.unknown", FAIL, "Order a new", CERTBOT),
    "SHA-1": Verdict(_signed_with(RSA_SHA1), "keys.digest", FAIL, "Order a new", CERTBOT),
    "MD5": Verdict(_signed_with(RSA_MD5), "keys.digest", FAIL, "Order a new", CERTBOT),
}
FILES = {
    "key mismatch": Verdict(_mismatch, "files.mismatch", FAIL, "Find the key", SELF_SIGNED),
    "encrypted key": Verdict(_encrypted, "files.encrypted", FAIL, "Take the password off", "openssl pkey"),
    "key open to all": Verdict(
        lambda lineage: lineage.paths.key.chmod(0o644), "files.key_open", WARN, "nobody else", "chmod o=,g-w"
    ),
    "key writable by its group": Verdict(
        lambda lineage: lineage.paths.key.chmod(0o660), "files.key_open", WARN, "nobody else", "chmod o=,g-w"
    ),
    "CRLF": Verdict(
        _changed("cert", lambda b: b.replace(b"\n", b"\r\n")), "files.windows_lines", WARN, "plain text", "sed -i"
    ),
    "CRLF in the key": Verdict(
        _changed("key", lambda b: b.replace(b"\n", b"\r\n")), "files.windows_lines", WARN, "plain text", "sed -i"
    ),
    "BOM": Verdict(
        _changed("cert", lambda b: b"\xef\xbb\xbf" + b), "files.byte_order_mark", WARN, "plain text", "sed -i"
    ),
    "DER": Verdict(
        lambda lineage: lineage.paths.cert.write_bytes(lineage.leaf.der),
        "files.der_certificate",
        FAIL,
        "to PEM",
        "openssl x509 -inform DER",
    ),
    "DER key": Verdict(_der_key, "files.der_key", FAIL, "to PEM", "openssl pkey -inform DER"),
    "empty": Verdict(_changed("cert", lambda _: b""), "files.empty", FAIL, "Restore the file", SELF_SIGNED),
    "empty key": Verdict(_changed("key", lambda _: b"\n"), "files.empty", FAIL, "Restore the file", SELF_SIGNED),
    "missing": Verdict(_gone("cert", "key"), "files.missing", FAIL, "Restore the file", SELF_SIGNED),
    "only the key missing": Verdict(_gone("key"), "files.twin_missing", FAIL, "Restore the file", "mv "),
    "cut short": Verdict(_changed("cert", lambda b: b[:-40]), "files.cut_short", FAIL, "to its end", SELF_SIGNED),
    "swapped": Verdict(_swapped, "files.key_not_certificate", FAIL, "swapped", SELF_SIGNED),
    "no PEM": Verdict(_changed("key", lambda _: b"hello"), "files.no_key", FAIL, "Restore the file", SELF_SIGNED),
    "bundle cut short": Verdict(_changed("ca_bundle", lambda b: b[:-40]), "files.cut_short", FAIL, "to its end", "mv "),
}
