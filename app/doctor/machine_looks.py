"""The looks at the machine: port, nginx, firewall, database, disk, and the files that hold secrets."""

from collections.abc import Sequence
from dataclasses import replace

from app.db.engine import open_database
from app.db.url import sqlite_file
from app.doctor.database import check_database
from app.doctor.examine import in_thread
from app.doctor.finding import Finding
from app.doctor.host import asking, disk, envfile, firewall, port, tracked
from app.doctor.host.metrics_page import look_at_metrics
from app.doctor.installation import Installation
from app.domain.invented import Invented


async def own_port(at: Installation) -> Sequence[Finding]:
    """Ask by a name that is let in: which hosts are answered to is looked at on its own."""
    settings, ask = at.settings, at.machine.ask
    own = replace(at.own, name=asking.name_let_in(settings.allowed_hosts))
    return await in_thread(lambda: port.look_at_port(own, settings.service_name, at.language, ask=ask))


async def nginx_rules(at: Installation) -> Sequence[Finding]:
    """Judge what nginx does with the webhook, whether the server may stand without it, and who may read /metrics."""
    found, front = await at.front()
    host, tls = at.settings.api_host, at.settings.ssl_enabled
    exposed = port.look_at_exposure(host, tls=tls, is_fronted=front is not None, language=at.language)
    read = look_at_metrics(
        has_token=at.settings.metrics_token is not None,
        passes_tls=front is not None and front.passes_tls,
        trusted=at.settings.forwarded_allow_ips,
        language=at.language,
    )
    return [*found, *exposed, *read]


async def firewall_state(at: Installation) -> Sequence[Finding]:
    """Tell which firewall is at work, and how to try the public address from outside."""
    url = f"https://{(await at.public()).host_header}/health"
    return await in_thread(lambda: firewall.look_at_firewall(url, at.language, run=at.machine.run))


async def database(at: Installation) -> Sequence[Finding]:
    """Judge the database of DATABASE_URL."""
    url = at.settings.database_url.get_secret_value()
    invented = Invented.of(at.settings.invented_artifacts)
    file, now = sqlite_file(url), at.machine.now()
    return await check_database(lambda: open_database(url), file, at.language, invented=invented, now=now)


async def folders(at: Installation) -> Sequence[Finding]:
    """Judge the room in every folder that the server writes to."""
    settings = at.settings
    file = sqlite_file(settings.database_url.get_secret_value())
    wanted = [*([file.parent] if file is not None else []), settings.data_dir, settings.log_dir]
    return await in_thread(lambda: disk.look_at_folders(wanted, at.language, usage=at.machine.usage))


async def secrets_in_git(at: Installation) -> Sequence[Finding]:
    """Tell whether `.env` or the private key is in git."""
    secrets = [at.machine.env_file, at.paths.key]
    return await in_thread(lambda: tracked.look_for_tracked(secrets, at.language, run=at.machine.run))


async def env_file(at: Installation) -> Sequence[Finding]:
    """Judge permissions and spelling of `.env`."""
    return await in_thread(lambda: envfile.look_at_env_file(at.machine.env_file, at.language))
