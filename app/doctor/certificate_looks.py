"""The looks at certificates: our files and nginx's, and what our port and nginx's really serve."""

import asyncio
from collections.abc import Sequence
from functools import partial

from app.doctor.examine import in_thread
from app.doctor.finding import Finding
from app.doctor.host import nginx
from app.doctor.installation import Installation


async def certificate(at: Installation) -> Sequence[Finding]:
    """Judge our own files; without TLS there are none to judge."""
    return (await at.files()).findings if at.settings.ssl_enabled else []


async def served(at: Installation) -> Sequence[Finding]:
    """Compare what our port serves with the files; a closed port is told by the look at the port."""
    if not at.settings.ssl_enabled or not await at.is_open():
        return []
    pair = (await at.files()).pair
    address, name, examine = (at.own.address, at.own.port), at.settings.api_domain, at.machine.examine_served
    return await in_thread(lambda: examine(address, name, pair, at.language))


async def nginx_certificate(at: Installation) -> Sequence[Finding]:
    """Examine nginx's own pair, unless it is ours and examined already."""
    _, front = await at.front()
    if front is None or front.certificate is None or front.key is None:
        return []
    if front.certificate.resolve() == at.paths.cert.resolve() and at.settings.ssl_enabled:
        return []
    closed = nginx.unreadable_certificate(front, at.language)
    return closed or (await at.nginx_files(front.certificate, front.key)).findings


async def nginx_served(at: Installation) -> Sequence[Finding]:
    """Compare what nginx serves with its files: until it is reloaded it serves the certificate it started with."""
    _, front = await at.front()
    if front is None:
        return []
    name, examine, language = at.public_name, at.machine.examine_served, at.language
    pair = (await at.files()).pair if front.passes_tls else None
    if front.certificate is not None and front.key is not None:
        pair = (await at.nginx_files(front.certificate, front.key)).pair
    looks = (in_thread(partial(examine, address, name, pair, language)) for address in front.addresses)
    found = [one for look in await asyncio.gather(*looks) for one in look]
    return found if front.passes_tls else [nginx.said_of_nginx(one, language) for one in found]
