"""The looks at the outside: the public address as fal calls it, fal itself, and Telegram."""

from collections.abc import Sequence

from app.doctor import fal
from app.doctor.examine import in_thread
from app.doctor.finding import Finding
from app.doctor.host import asking, names, port, webhook_url
from app.doctor.installation import Installation
from app.doctor.telegram import look_at_telegram
from app.routers.fal_webhook import PATH


async def own_redirects(at: Installation) -> Sequence[Finding]:
    """Call the webhook at our own port; a closed one is told by the look at the port."""
    return await _redirects(at, at.own) if await at.is_open() else []


async def public_redirects(at: Installation) -> Sequence[Finding]:
    """Call the webhook at the public address."""
    return await _redirects(at, await at.public())


async def _redirects(at: Installation, target: asking.Target) -> Sequence[Finding]:
    return await in_thread(lambda: port.look_for_redirects(target, PATH, at.language, ask=at.machine.ask))


async def dns(at: Installation) -> Sequence[Finding]:
    """Judge where the public name leads."""
    name, machine = at.public_name, at.machine
    return await in_thread(
        lambda: names.look_up(name, at.language, resolve=machine.resolve, hosts_file=machine.hosts_file)
    )


async def given_url(at: Installation) -> Sequence[Finding]:
    """Compare FAL_WEBHOOK_URL with where the server is."""
    return webhook_url.compare(at.settings.fal_webhook_url, await at.place(), at.language)


async def fal_keys(at: Installation) -> Sequence[Finding]:
    """Fetch fal's signing keys, and measure the clock by the answers."""
    return await fal.look_at_keys(at.client, at.settings.fal_jwks_urls, at.machine.now, at.language)


async def fal_addresses(at: Installation) -> Sequence[Finding]:
    """Fetch fal's address list."""
    settings = at.settings
    return await fal.look_at_addresses(
        at.client,
        f"{settings.fal_api_url}/v1/meta",
        copy=settings.data_dir / "fal-addresses.json",
        fixed=settings.allowed_ips,
        now=at.machine.now(),
        language=at.language,
    )


async def fal_account(at: Installation) -> Sequence[Finding]:
    """Judge FAL_USER_ID, FAL_API_KEY and the balance."""
    settings = at.settings
    key = settings.fal_api_key
    return await fal.look_at_account(
        at.client,
        queue_url=settings.fal_queue_url,
        endpoint=settings.trainer_portrait,
        api_url=settings.fal_api_url,
        storage_url=settings.fal_storage_url,
        key=None if key is None else key.get_secret_value(),
        user_id=settings.fal_user_id,
        language=at.language,
    )


async def telegram(at: Installation) -> Sequence[Finding]:
    """Judge TELEGRAM_TOKEN and OPERATOR_CHAT_ID."""
    settings = at.settings
    token = None if settings.telegram_token is None else settings.telegram_token.get_secret_value()
    return await look_at_telegram(token, settings.telegram_api_url, settings.operator_chat_id, at.language)
