"""The installation under examination: its settings and machine, and the facts that more than one look needs."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

from app.core.config import Settings
from app.doctor.cert_paths import names_of, paths_of
from app.doctor.examine import in_thread
from app.doctor.finding import Finding
from app.doctor.host import asking, nginx, nginx_files, port, webhook_url
from app.doctor.machine import Machine
from app.doctor.tls.examination import Examined
from app.fal.client import make_client
from app.routers.fal_webhook import PATH
from app.tls.pair_files import PairPaths


def public_name_of(settings: Settings) -> str:
    """Return the name that fal calls."""
    return urlsplit(settings.fal_webhook_url or "").hostname or settings.api_domain


def site_of(settings: Settings) -> nginx.Site:
    """Return what nginx must do for these settings."""
    given = urlsplit(settings.fal_webhook_url or "")
    public_port = (given.port or webhook_url.HTTPS_PORT) if given.hostname else settings.api_port
    return nginx.Site(public_name_of(settings), settings.api_port, PATH, settings.max_body_bytes, public_port)


class Installation:
    """Facts are gathered once, however many looks ask. One object serves one examination; `close` after it."""

    def __init__(self, settings: Settings, machine: Machine) -> None:
        self.settings = settings
        self.machine = machine
        self.language = settings.operator_language
        self.paths = paths_of(settings)
        self.public_name = public_name_of(settings)
        self.client = make_client()
        host = asking.reachable(settings.api_host)
        self.own = asking.Target(host, settings.api_port, settings.api_domain, settings.ssl_enabled)
        self._files: asyncio.Task[Examined] | None = None
        self._nginx_files: asyncio.Task[Examined] | None = None
        self._nginx: asyncio.Task[tuple[list[Finding], nginx.Front | None]] | None = None

    async def close(self) -> None:
        """Close the connections to fal."""
        await self.client.aclose()

    async def files(self) -> Examined:
        """Read the certificate's files."""
        if self._files is None:
            now, wanted, examine = self.machine.now(), names_of(self.settings), self.machine.examine_files
            work = in_thread(lambda: examine(self.paths, wanted, now, self.language))
            self._files = asyncio.create_task(work)
        return await asyncio.shield(self._files)

    async def front(self) -> tuple[list[Finding], nginx.Front | None]:
        """Look nginx over: what was found, and the server of nginx's in front of us, if there is one."""
        if self._nginx is None:
            site, machine = site_of(self.settings), self.machine

            def look() -> tuple[list[Finding], nginx.Front | None]:
                root = nginx_files.configuration(run=machine.run, folder=machine.nginx_folder)
                return nginx.look_at_nginx(root, site, self.language)

            self._nginx = asyncio.create_task(in_thread(look))
        return await asyncio.shield(self._nginx)

    async def nginx_files(self, certificate: Path, key: Path) -> Examined:
        """Read the pair that nginx's configuration names."""
        if self._nginx_files is None:
            paths = PairPaths(certificate, key, certificate.with_name("no-bundle-beside-nginx"))
            now, examine = self.machine.now(), self.machine.examine_files
            work = in_thread(lambda: examine(paths, [self.public_name], now, self.language))
            self._nginx_files = asyncio.create_task(work)
        return await asyncio.shield(self._nginx_files)

    async def is_open(self) -> bool:
        """Tell whether the server's own port accepts connections."""
        own = self.own
        return own.port != 0 and await in_thread(lambda: port.is_open(own.address, own.port))

    async def place(self) -> webhook_url.Place:
        """Tell where fal reaches this server: at nginx's ports, and at its own where it speaks TLS."""
        settings = self.settings
        _, front = await self.front()
        ports = [] if front is None else [*front.ports]
        if settings.ssl_enabled or not ports:
            ports.append(settings.api_port)
        return webhook_url.Place(settings.api_domain, PATH, settings.allowed_hosts, ports)

    async def public(self) -> asking.Target:
        """Tell the address that fal calls."""
        url = urlsplit(self.settings.fal_webhook_url or (await self.place()).url)
        return asking.Target(self.public_name, url.port or webhook_url.HTTPS_PORT, self.public_name)
