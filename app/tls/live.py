"""A TLS context whose certificate is replaced at run time: no restart, and no handshake fails meanwhile."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Lock

import structlog

from app.domain.errors import CertificateBroken
from app.domain.language import Language
from app.tls.pair_files import PairBroken, PairContent, PairPaths, broken, read_content
from app.tls.plain_http import ServerContext
from app.tls.profile import PROFILES, ProfileName, choose_groups, harden, hardened
from app.tls.served import ServedPair

log = structlog.get_logger(__name__)

HANDSHAKE_FLIGHTS = 6
OTHERS_MAY = 0o007
SHORTAGE = timedelta(seconds=10)  # after an error that passes (descriptors, memory) the pair is tried again

FilesSeen = PairContent | tuple[str, ...]  # what the files hold, or why they cannot be read


@dataclass(frozen=True, slots=True)
class PairRefusal:
    """A pair read at `since` that is not served, and why; `until` is when to try it again unchanged, None for never."""

    seen: FilesSeen
    findings: tuple[str, ...]
    since: datetime
    until: datetime | None = None

    def stands(self, now: datetime) -> bool:
        """Whether the refusal still holds at `now`; a clock that was set back ends it."""
        return self.until is None or self.since <= now < self.until


class LiveContext:
    """The certificate now served.

    uvicorn keeps one outer context; each handshake is switched to the current inner context. Loading a bad pair into a
    context in use would break it, so an inner context is never changed once it is used. A pair that is not valid yet,
    or has expired, does not replace a valid one.
    """

    def __init__(
        self,
        cert_path: Path,
        key_path: Path,
        ca_bundle_path: Path,
        language: Language = "ru",
        profile: ProfileName = "intermediate",
    ) -> None:
        self._paths = PairPaths(cert_path, key_path, ca_bundle_path)
        self._language = language
        self._lock = Lock()
        self._profile = PROFILES[profile]
        # OpenSSL takes versions, options and groups from the outer context, ciphers and ALPN from the inner one.
        self._outer = ServerContext(ssl.PROTOCOL_TLS_SERVER)
        harden(self._outer, self._profile)
        choose_groups(self._outer, self._profile)
        self._outer.sni_callback = self._move
        self._inner: ssl.SSLContext | None = None
        self._served: ServedPair | None = None
        self._content: PairContent | None = None
        self._looked: FilesSeen | None = None
        self._refusal: PairRefusal | None = None
        self._ways_tried: ServedPair | None = None  # has expired above the leaf, and its files hold no other way

    @property
    def context(self) -> ServerContext:
        """The context to listen with; load() comes first."""
        assert self._inner is not None, "load() comes first"
        return self._outer

    @property
    def served(self) -> ServedPair:
        """The pair now served; load() comes first."""
        assert self._served is not None, "load() comes first"
        return self._served

    @property
    def trouble(self) -> tuple[str, ...]:
        """The findings about a newer pair that was refused; empty once the files are in order."""
        refusal = self._refusal
        return () if refusal is None else refusal.findings

    def begin(self, pair: ServedPair, content: PairContent) -> None:
        """Serve a pair that was put together elsewhere from `content`; raises CertificateBroken."""
        with self._lock:
            pair.report(self._paths)
            self._adopt(pair, content)

    def load(self, now: datetime | None = None) -> None:
        """Serve what the files hold; raises CertificateBroken and keeps what was served before."""
        with self._lock:
            content = read_content(self._paths, self._language)
            self._adopt(self._assemble(content, now), content)

    def reload(self, now: datetime) -> bool:
        """Serve what the files hold now, or keep the old pair and say why; return whether the files are served."""
        with self._lock:
            return self._try(self._look(), now, told=())

    def refresh(self, now: datetime) -> bool:
        """Serve what the files hold if they changed but not since the last call; return whether it did.

        The files of a pair are written one after the other: what is read twice alike is complete. A pair refused
        for its dates is tried again once they may be right, without a change of the files.
        """
        with self._lock:
            before, seen = self._looked, self._look()
            self._looked = seen
            if seen == self._content:
                self._refusal = None
                return self._choose_again(now)
            known = self._refusal if self._refusal is not None and self._refusal.seen == seen else None
            if seen != before or (known is not None and known.stands(now)):
                return False
            return self._try(seen, now, told=() if known is None else known.findings)

    def _choose_again(self, now: datetime) -> bool:
        """Serve another way up from the same files once a certificate above the leaf has expired, if there is one."""
        served, content = self.served, self._content
        above = [link.not_after for link in served.links[1:]]
        if content is None or not above or now <= min(above) or self._ways_tried is served:
            return False
        with suppress(PairBroken):  # what cannot be loaded just now leaves the old way in place
            pair = self._assemble(content, now)
            if pair.chain_pem != served.chain_pem:
                self._adopt(pair, content)
                return True
        self._ways_tried = served
        return False

    def _assemble(self, content: PairContent, now: datetime | None) -> ServedPair:
        from app.tls.chain import put_together  # noqa: PLC0415  14 MiB that serving does not need

        pair = put_together(content, self._paths, self._language, now)
        pair.report(self._paths)
        return pair

    def _look(self) -> FilesSeen:
        try:
            return read_content(self._paths, self._language)
        except CertificateBroken as error:
            return error.findings

    def _try(self, seen: FilesSeen, now: datetime, told: tuple[str, ...]) -> bool:
        """Serve what was read, or keep the refusal; log it unless it was `told` already."""
        refusal = self._judge(seen, now)
        if refusal is not None and refusal.findings != told:
            log.error("certificate.refused", findings=refusal.findings)
        self._refusal = refusal
        return refusal is None

    def _judge(self, seen: FilesSeen, now: datetime) -> PairRefusal | None:
        if not isinstance(seen, PairContent):
            return PairRefusal(seen, seen, now)
        try:
            pair = self._assemble(seen, now)
            if self.served.links[0].is_in_season(now) and not pair.links[0].is_in_season(now):
                return self._untimely(seen, pair, now)
            self._adopt(pair, seen)
        except PairBroken as error:
            return PairRefusal(seen, error.findings, now, now + SHORTAGE if error.cause == "starved" else None)
        return None

    def _untimely(self, seen: PairContent, pair: ServedPair, now: datetime) -> PairRefusal:
        leaf, end = pair.links[0], self.served.links[0].not_after
        is_early = now < leaf.not_before
        cause, moment = ("early", leaf.not_before) if is_early else ("expired", leaf.not_after)
        found = broken(cause, self._paths.cert, self._paths, self._language, f"{moment:%Y-%m-%d %H:%M} UTC")
        return PairRefusal(seen, found.findings, now, min(leaf.not_before, end) if is_early else end)

    def _adopt(self, pair: ServedPair, content: PairContent) -> None:
        inner = hardened(self._profile)
        try:
            with _memory_file(pair.chain_pem + pair.key_pem) as path:
                inner.load_cert_chain(path)
            _shake_hands(inner)
        except ssl.SSLError as error:
            reason = error.reason or str(error)
            raise broken("refused", self._paths.cert, self._paths, self._language, reason) from error
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise broken("starved", self._paths.cert, self._paths, self._language, reason) from error
        self._inner, self._served, self._content = inner, pair, content
        self._refusal = None
        if _open_to_all(self._paths.key):
            log.warning("certificate.key_open_to_all", file=str(self._paths.key))
        log.info(
            "certificate.loaded",
            subject=pair.links[0].subject,
            not_after=pair.links[0].not_after.isoformat(),
            certificates=len(pair.links),
        )

    def _move(self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _outer: ssl.SSLContext) -> None:
        # OpenSSL calls this for a client without SNI, too.
        assert self._inner is not None
        connection.context = self._inner


def _open_to_all(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & OTHERS_MAY)
    except OSError:  # replaced while being read: the next call reads the new files
        return False


@contextmanager
def _memory_file(content: bytes) -> Iterator[str]:
    """Return a file in memory: OpenSSL loads from a path only, and so the key is not written to a disk."""
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
    """Shake hands with a client in memory: a key that loads may still support no signature scheme of TLS."""
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
