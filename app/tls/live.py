"""The TLS context that outlives its certificate: a new pair needs no restart and costs no handshake."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Lock

import structlog

from app.domain.errors import CertificateBroken
from app.domain.wording import Language
from app.tls.certificates import CertificateFacts, PairPaths, broken, facts_of
from app.tls.chain import PairContent, ServedPair, assemble, read_content
from app.tls.profile import PROFILES, ProfileName, choose_groups, hardened

log = structlog.get_logger(__name__)

HANDSHAKE_FLIGHTS = 6
OTHERS_MAY = 0o007

Seen = PairContent | tuple[str, ...]  # what the files hold, or why they cannot be read


class LiveContext:
    """The certificate now served.

    uvicorn holds one outer context for ever; each handshake is moved to the inner context of the moment. Loading a
    pair into a context in use would break it for good when the pair is bad, so an inner context is never touched again.
    `trouble` holds the findings about a newer pair that was refused, and is empty once the files are in order.
    """

    def __init__(
        self,
        cert_path: Path,
        key_path: Path,
        ca_bundle_path: Path,
        language: Language = "ru",
        profile: ProfileName = "intermediate",
    ) -> None:
        self.trouble: tuple[str, ...] = ()
        self._paths = PairPaths(cert_path, key_path, ca_bundle_path)
        self._language = language
        self._lock = Lock()
        self._profile = PROFILES[profile]
        # Of the outer context OpenSSL reads versions, options and groups, of the inner ciphers and ALPN.
        self._outer = hardened(self._profile)
        choose_groups(self._outer, self._profile)
        self._outer.sni_callback = self._move
        self._inner: ssl.SSLContext | None = None
        self._served: ServedPair | None = None
        self._content: PairContent | None = None
        self._looked: Seen | None = None
        self._refused: Seen | None = None

    @property
    def context(self) -> ssl.SSLContext:
        """The context to listen with; load() comes first."""
        assert self._inner is not None, "load() comes first"
        return self._outer

    @property
    def served(self) -> ServedPair:
        """The pair now served; load() comes first."""
        assert self._served is not None, "load() comes first"
        return self._served

    def facts(self, now: datetime) -> CertificateFacts:
        """Facts of the certificate now served, as they stand at `now`."""
        return facts_of(self.served.leaf, now)

    def load(self) -> None:
        """Serve what the files hold; raises CertificateBroken and keeps what was served before."""
        with self._lock:
            self._adopt(read_content(self._paths, self._language))

    def reload(self) -> bool:
        """Serve what the files hold now, or keep the old pair and say why; return whether the files are served."""
        with self._lock:
            return self._try(self._look())

    def refresh(self) -> bool:
        """Serve what the files hold if they changed and lie still since the last call; return whether it did.

        A pair is several files and is written one after the other: what is seen twice has been written to the end.
        """
        with self._lock:
            before, seen = self._looked, self._look()
            self._looked = seen
            if seen == self._content:
                self.trouble, self._refused = (), None
            return seen == before and seen not in (self._content, self._refused) and self._try(seen)

    def _look(self) -> Seen:
        try:
            return read_content(self._paths, self._language)
        except CertificateBroken as error:
            return error.findings

    def _try(self, seen: Seen) -> bool:
        try:
            if isinstance(seen, PairContent):
                self._adopt(seen)
                return True
            findings = seen
        except CertificateBroken as error:
            findings = error.findings
        self.trouble, self._refused = findings, seen
        log.error("certificate.refused", findings=findings)
        return False

    def _adopt(self, content: PairContent) -> None:
        pair = assemble(content, self._paths, self._language)
        inner = hardened(self._profile)
        try:
            with _memory_file(pair.chain_pem + pair.key_pem) as path:
                inner.load_cert_chain(path)
            _shake_hands(inner)
        except ssl.SSLError as error:
            reason = error.reason or str(error)
            raise broken("refused", self._paths.cert, self._paths, self._language, reason) from error
        self._inner, self._served, self._content = inner, pair, content
        self.trouble, self._refused = (), None
        if _open_to_all(self._paths.key):
            log.warning("certificate.key_open_to_all", file=str(self._paths.key))
        log.info(
            "certificate.loaded",
            subject=pair.leaf.subject.rfc4514_string(),
            not_after=pair.leaf.not_valid_after_utc.isoformat(),
            certificates=len(pair.chain),
        )

    def _move(self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _outer: ssl.SSLContext) -> None:
        # OpenSSL calls this for a client without SNI, too.
        assert self._inner is not None
        connection.context = self._inner


def _open_to_all(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & OTHERS_MAY)
    except OSError:  # replaced this very moment: the next look sees the new one
        return False


@contextmanager
def _memory_file(content: bytes) -> Iterator[str]:
    """OpenSSL loads from a path only; anonymous memory has one, and leaves the key on no disk."""
    if not hasattr(os, "memfd_create"):  # pragma: no cover  macOS, for development
        with NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name
        return
    descriptor = os.memfd_create("pair", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _shake_hands(context: ssl.SSLContext) -> None:
    """Prove in memory that a client gets through: a key that loads may still suit no signature scheme."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    pending = [client.wrap_bio(to_client, to_server), context.wrap_bio(to_server, to_client, server_side=True)]
    for _ in range(HANDSHAKE_FLIGHTS):
        pending = [side for side in pending if not _advanced_to_end(side)]
    if pending:  # pragma: no cover  OpenSSL raises long before
        raise ssl.SSLError(0, "the handshake does not end")


def _advanced_to_end(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
