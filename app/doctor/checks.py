"""The doctor's rounds: from the settings to the looks that are worth taking."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from app.core.config import Settings
from app.db.engine import open_database
from app.db.url import sqlite_file
from app.doctor.cert_paths import names_of, paths_of
from app.doctor.database import check_database
from app.doctor.examine import SECONDS, Look, in_thread
from app.doctor.fal import look_at_account, look_at_addresses, look_at_keys
from app.doctor.finding import Finding
from app.doctor.host import (
    asking,
    commands,
    disk,
    envfile,
    firewall,
    names,
    nginx,
    nginx_files,
    port,
    tracked,
    webhook_url,
)
from app.doctor.machine import Machine
from app.doctor.telegram import look_at_telegram
from app.doctor.tls.examination import Examined
from app.domain.language import Bilingual, pick
from app.fal.client import make_client
from app.routers.fal_webhook import PATH
from app.tls.certificates import PairPaths

FILE_SECONDS = 10.0  # reading every public root takes a second on a slow machine
SERVED_SECONDS = 12.0
ASK_SECONDS = 10.0  # two requests
DATABASE_SECONDS = 30.0  # a SQLite file of 1 GiB is read through

SUBJECTS: dict[str, Bilingual] = {
    "certificate": ("сертификат", "certificate"),
    "served": ("сертификат на порту", "certificate on the port"),
    "port": ("порт", "port"),
    "redirects": ("перенаправления", "redirects"),
    "public": ("внешний адрес", "public address"),
    "nginx": ("nginx", "nginx"),
    "nginx_certificate": ("сертификат nginx", "nginx's certificate"),
    "nginx_served": ("сертификат на портах nginx", "certificate on nginx's ports"),
    "dns": ("DNS", "DNS"),
    "webhook_url": ("FAL_WEBHOOK_URL", "FAL_WEBHOOK_URL"),
    "firewall": ("файрвол", "firewall"),
    "database": ("база", "database"),
    "keys": ("ключи fal и часы", "fal's keys and the clock"),
    "addresses": ("адреса fal", "fal's addresses"),
    "account": ("аккаунт fal", "fal account"),
    "telegram": ("Telegram", "Telegram"),
    "disk": ("диск", "disk"),
    "git": ("секреты в git", "secrets in git"),
    "envfile": (".env", ".env"),
}


def public_name_of(settings: Settings) -> str:
    """Return the name that fal calls."""
    return urlsplit(settings.fal_webhook_url or "").hostname or settings.api_domain


def site_of(settings: Settings) -> nginx.Site:
    """Return what nginx must do for these settings."""
    given = urlsplit(settings.fal_webhook_url or "")
    public_port = (given.port or webhook_url.HTTPS_PORT) if given.hostname else settings.api_port
    return nginx.Site(public_name_of(settings), settings.api_port, PATH, settings.max_body_bytes, public_port)


class Rounds:
    """Knows what to look at for these settings. One object serves one examination; `close` after it."""

    def __init__(self, settings: Settings, machine: Machine) -> None:
        self._client = make_client()
        self._settings = settings
        self._machine = machine
        self._language = settings.operator_language
        self._paths = paths_of(settings)
        host = asking.reachable(settings.api_host)
        self._own = asking.Target(host, settings.api_port, settings.api_domain, settings.ssl_enabled)
        self._public_name = public_name_of(settings)
        self._files: asyncio.Task[Examined] | None = None
        self._nginx_files: asyncio.Task[Examined] | None = None
        self._nginx: asyncio.Task[tuple[list[Finding], nginx.Front | None]] | None = None

    async def close(self) -> None:
        """Close the connections to fal."""
        await self._client.aclose()

    def of_tls(self) -> list[Look]:
        """List what concerns the certificate and whoever shows one."""
        files = [
            self._look("certificate", self._certificate, FILE_SECONDS),
            self._look("served", self._served, FILE_SECONDS + SERVED_SECONDS),
        ]
        return [
            *(files if self._settings.ssl_enabled else []),
            self._look("port", self._port),
            self._look("redirects", self._own_redirects, ASK_SECONDS),
            self._look("public", self._public_redirects, ASK_SECONDS),
            self._look("nginx_certificate", self._nginx_certificate, FILE_SECONDS),
            self._look("nginx_served", self._nginx_served, FILE_SECONDS + SERVED_SECONDS),
        ]

    def of_everything(self) -> list[Look]:
        """List all there is to look at."""
        return [
            *self.of_tls(),
            self._look("nginx", self._nginx_rules),
            self._look("dns", self._dns),
            self._look("webhook_url", self._webhook_url),
            self._look("firewall", self._firewall, 3 * commands.SECONDS),
            self._look("database", self._database, DATABASE_SECONDS),
            self._look("keys", self._keys),
            self._look("addresses", self._addresses),
            self._look("account", self._account),
            self._look("telegram", self._telegram),
            self._look("disk", self._disk),
            self._look("git", self._git, 2 * commands.SECONDS),
            self._look("envfile", self._env_file),
        ]

    def _look(self, subject: str, at: Callable[[], Awaitable[Sequence[Finding]]], seconds: float = SECONDS) -> Look:
        return Look(pick(SUBJECTS[subject], self._language), at, seconds * self._machine.patience)

    async def _seen(self) -> Examined:
        """Read the certificate's files, once for everyone who asks."""
        wanted = names_of(self._settings)
        if self._files is None:
            now = self._machine.now()
            work = in_thread(lambda: self._machine.examine_files(self._paths, wanted, now, self._language))
            self._files = asyncio.create_task(work)
        return await asyncio.shield(self._files)

    async def _certificate(self) -> Sequence[Finding]:
        return (await self._seen()).findings

    async def _served(self) -> Sequence[Finding]:
        if not await self._is_open():
            return []  # told by the look at the port
        pair = (await self._seen()).pair
        address = (self._own.address, self._own.port)
        name, examine = self._settings.api_domain, self._machine.examine_served
        return await in_thread(lambda: examine(address, name, pair, self._language))

    async def _port(self) -> Sequence[Finding]:
        settings, ask = self._settings, self._machine.ask
        # Asked by a name that is let in: which hosts are answered to is looked at on its own.
        own = replace(self._own, name=asking.name_let_in(settings.allowed_hosts))
        return await in_thread(lambda: port.look_at_port(own, settings.service_name, self._language, ask=ask))

    async def _own_redirects(self) -> Sequence[Finding]:
        return await self._redirects(self._own) if await self._is_open() else []

    async def _public_redirects(self) -> Sequence[Finding]:
        return await self._redirects(await self._public())

    async def _redirects(self, target: asking.Target) -> Sequence[Finding]:
        return await in_thread(lambda: port.look_for_redirects(target, PATH, self._language, ask=self._machine.ask))

    async def _is_open(self) -> bool:
        own = self._own
        return own.port != 0 and await in_thread(lambda: port.is_open(own.address, own.port))

    async def _public(self) -> asking.Target:
        """Tell what fal calls."""
        url = urlsplit(self._settings.fal_webhook_url or (await self._place()).url)
        return asking.Target(self._public_name, url.port or webhook_url.HTTPS_PORT, self._public_name)

    async def _place(self) -> webhook_url.Place:
        """Tell where fal would find us: at nginx's ports, and at our own where it speaks TLS."""
        settings = self._settings
        _, front = await self._front()
        ports = [] if front is None else [*front.ports]
        if settings.ssl_enabled or not ports:
            ports.append(settings.api_port)
        return webhook_url.Place(settings.api_domain, PATH, settings.allowed_hosts, ports)

    async def _front(self) -> tuple[list[Finding], nginx.Front | None]:
        """Look nginx over, once for everyone who asks."""
        if self._nginx is None:
            site, machine = site_of(self._settings), self._machine

            def look() -> tuple[list[Finding], nginx.Front | None]:
                root = nginx_files.configuration(run=machine.run, folder=machine.nginx_folder)
                return nginx.look_at_nginx(root, site, self._language)

            self._nginx = asyncio.create_task(in_thread(look))
        return await asyncio.shield(self._nginx)

    async def _nginx_rules(self) -> Sequence[Finding]:
        settings = self._settings
        found, front = await self._front()
        exposure = port.look_at_exposure(
            settings.api_host, tls=settings.ssl_enabled, is_fronted=front is not None, language=self._language
        )
        return [*found, *exposure]

    async def _nginx_certificate(self) -> Sequence[Finding]:
        """Examine nginx's own pair; it may well be ours."""
        _, front = await self._front()
        if front is None or front.certificate is None or front.key is None:
            return []
        if front.certificate.resolve() == self._paths.cert.resolve() and self._settings.ssl_enabled:
            return []
        closed = nginx.unreadable_certificate(front, self._language)
        return closed or (await self._seen_of_nginx(front.certificate, front.key)).findings

    async def _seen_of_nginx(self, certificate: Path, key: Path) -> Examined:
        """Read the pair that nginx's configuration names, once for everyone who asks."""
        if self._nginx_files is None:
            paths = PairPaths(certificate, key, certificate.with_name("no-bundle-beside-nginx"))
            now, name, examine = self._machine.now(), self._public_name, self._machine.examine_files
            work = in_thread(lambda: examine(paths, [name], now, self._language))
            self._nginx_files = asyncio.create_task(work)
        return await asyncio.shield(self._nginx_files)

    async def _nginx_served(self) -> Sequence[Finding]:
        """Shake hands with nginx as fal does: it goes on with the certificate it started with until it is told."""
        _, front = await self._front()
        if front is None:
            return []
        name, examine, language = self._public_name, self._machine.examine_served, self._language
        pair = (await self._seen()).pair if front.passes_tls else None
        if front.certificate is not None and front.key is not None:
            pair = (await self._seen_of_nginx(front.certificate, front.key)).pair
        looks = (in_thread(partial(examine, address, name, pair, language)) for address in front.addresses)
        found = [one for look in await asyncio.gather(*looks) for one in look]
        return found if front.passes_tls else [nginx.said_of_nginx(one, language) for one in found]

    async def _dns(self) -> Sequence[Finding]:
        machine = self._machine
        return await in_thread(
            lambda: names.look_up(
                self._public_name, self._language, resolve=machine.resolve, hosts_file=machine.hosts_file
            )
        )

    async def _webhook_url(self) -> Sequence[Finding]:
        return webhook_url.compare(self._settings.fal_webhook_url, await self._place(), self._language)

    async def _firewall(self) -> Sequence[Finding]:
        url = f"https://{(await self._public()).host_header}/health"
        return await in_thread(lambda: firewall.look_at_firewall(url, self._language, run=self._machine.run))

    async def _database(self) -> Sequence[Finding]:
        url = self._settings.database_url.get_secret_value()
        return await check_database(lambda: open_database(url), sqlite_file(url), self._language)

    async def _keys(self) -> Sequence[Finding]:
        return await look_at_keys(self._client, self._settings.fal_jwks_urls, self._machine.now, self._language)

    async def _addresses(self) -> Sequence[Finding]:
        settings = self._settings
        return await look_at_addresses(
            self._client,
            f"{settings.fal_api_url}/v1/meta",
            copy=settings.data_dir / "fal-addresses.json",
            fixed=settings.allowed_ips,
            now=self._machine.now(),
            language=self._language,
        )

    async def _account(self) -> Sequence[Finding]:
        settings = self._settings
        key = settings.fal_api_key
        return await look_at_account(
            self._client,
            queue_url=settings.fal_queue_url,
            api_url=settings.fal_api_url,
            key=None if key is None else key.get_secret_value(),
            user_id=settings.fal_user_id,
            language=self._language,
        )

    async def _telegram(self) -> Sequence[Finding]:
        settings = self._settings
        token = settings.telegram_token
        return await look_at_telegram(
            None if token is None else token.get_secret_value(),
            settings.telegram_api_url,
            settings.operator_chat_id,
            self._language,
        )

    async def _disk(self) -> Sequence[Finding]:
        settings = self._settings
        file = sqlite_file(settings.database_url.get_secret_value())
        folders = [*([file.parent] if file is not None else []), settings.data_dir, settings.log_dir]
        return await in_thread(lambda: disk.look_at_folders(folders, self._language, usage=self._machine.usage))

    async def _git(self) -> Sequence[Finding]:
        secrets: list[Path] = [self._machine.env_file, self._paths.key]
        return await in_thread(lambda: tracked.look_for_tracked(secrets, self._language, run=self._machine.run))

    async def _env_file(self) -> Sequence[Finding]:
        return await in_thread(lambda: envfile.look_at_env_file(self._machine.env_file, self._language))
