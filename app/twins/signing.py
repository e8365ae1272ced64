"""fal's side of the webhook signature, written from its documentation and not from our verifier."""

import base64
import hashlib
import secrets
from pathlib import Path
from typing import Final

from nacl.bindings import crypto_sign, crypto_sign_BYTES, crypto_sign_seed_keypair, crypto_sign_SEEDBYTES

ACCOUNT: Final = "github|1000001"  # the pipe is real: captured account ids contain one
FOREIGN_ACCOUNT: Final = "github|2000002"

REQUEST_ID_HEADER: Final = "X-Fal-Webhook-Request-Id"
USER_ID_HEADER: Final = "X-Fal-Webhook-User-Id"
TIMESTAMP_HEADER: Final = "X-Fal-Webhook-Timestamp"
SIGNATURE_HEADER: Final = "X-Fal-Webhook-Signature"


class FalKey:
    """One Ed25519 key pair of the fal twin.

    `seed` is the 32-byte private seed, `public` the 32-byte public key. The kid is derived from the public key,
    so that a process which loads the seed publishes the same JWK; like fal's it is not an RFC 7638 thumbprint.
    """

    __slots__ = ("_secret", "kid", "public", "seed")

    def __init__(self, seed: bytes) -> None:
        """Derive the pair. Raises nacl's ValueError unless `seed` has 32 bytes."""
        self.seed = seed
        self.public, self._secret = crypto_sign_seed_keypair(seed)
        self.kid = hashlib.sha256(b"kid" + self.public).hexdigest()[:32]

    @classmethod
    def generate(cls) -> "FalKey":
        """Make a fresh pair."""
        return cls(secrets.token_bytes(crypto_sign_SEEDBYTES))

    def jwk(self, *, padded: bool = True) -> dict[str, str]:
        """Return the public JWK as fal serves it: no `alg`, `x` in base64url.

        fal pads `x` with `=` (44 characters) against RFC 7517; `padded=False` gives the RFC's 43.
        """
        x = base64.urlsafe_b64encode(self.public).decode()
        return {"crv": "Ed25519", "kid": self.kid, "kty": "OKP", "use": "sig", "x": x if padded else x.rstrip("=")}

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of `message`."""
        return crypto_sign(message, self._secret)[:crypto_sign_BYTES]


def sign(key: FalKey, request_id: str, user_id: str, timestamp: int | str, body: bytes) -> dict[str, str]:
    """Return the four signed headers.

    The message is request_id, user_id, timestamp and hex(sha256(body)), joined by newlines and without a last one; the
    signature is lower-case hex; `timestamp` is in whole Unix seconds (a str passes as it is, for absurd ones).
    Source: docs/fal.md.
    """
    digest = hashlib.sha256(body).hexdigest()
    message = f"{request_id}\n{user_id}\n{timestamp}\n{digest}".encode()
    return {
        REQUEST_ID_HEADER: request_id,
        USER_ID_HEADER: user_id,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: key.sign(message).hex(),
    }


def load_or_create_keys(path: Path, count: int = 2) -> list[FalKey]:
    """Read one hex seed per line of `path`; a missing file is made with `count` fresh keys, readable by its owner only.

    Two by default, because fal keeps two keys live at once. The file lets another process sign for a running twin.
    """
    if not path.exists():
        path.touch(mode=0o600, exist_ok=False)
        path.write_text("".join(f"{FalKey.generate().seed.hex()}\n" for _ in range(count)), encoding="ascii")
    return [FalKey(bytes.fromhex(line)) for line in path.read_text(encoding="ascii").split()]
