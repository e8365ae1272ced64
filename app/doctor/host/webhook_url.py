"""Whether FAL_WEBHOOK_URL, which the bot gives to fal, leads to this server."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.doctor.finding import EDIT_SETTINGS, Catalogue, Finding, Level, Wording, finding
from app.domain.language import Language, msgid

HTTPS_PORT = 443

WRITE_WANTED = msgid("Write into .env: FAL_WEBHOOK_URL={wanted}")

WORDS: Catalogue = {
    "webhook_url.ok": Wording(Level.OK, msgid("FAL_WEBHOOK_URL leads here: {url}")),
    "webhook_url.absent": Wording(
        Level.OK,
        msgid("FAL_WEBHOOK_URL is not set; the bot must give out {wanted}"),
    ),
    "webhook_url.plain": Wording(
        Level.FAIL,
        msgid("FAL_WEBHOOK_URL is http://, fal needs https://"),
        WRITE_WANTED,
        EDIT_SETTINGS,
    ),
    "webhook_url.host": Wording(
        Level.FAIL,
        msgid("FAL_WEBHOOK_URL names {host}: that is not API_DOMAIN ({domain}) and not among ALLOWED_HOSTS"),
        WRITE_WANTED,
        EDIT_SETTINGS,
    ),
    "webhook_url.refused_host": Wording(
        Level.FAIL,
        msgid("{host} is not among ALLOWED_HOSTS: every delivery gets 400"),
        msgid("Add this name to ALLOWED_HOSTS in .env."),
        EDIT_SETTINGS,
    ),
    "webhook_url.port": Wording(
        Level.FAIL,
        msgid("FAL_WEBHOOK_URL names port {port}, while {ports} are listened on"),
        WRITE_WANTED,
        EDIT_SETTINGS,
    ),
    "webhook_url.path": Wording(
        Level.FAIL,
        msgid("FAL_WEBHOOK_URL names the path {path}, while the webhook lives at {right}"),
        WRITE_WANTED,
        EDIT_SETTINGS,
    ),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where this server is to be found: its name, the webhook's path, the hosts it answers to, its ports for HTTPS.

    `ports` are those of a proxy that passes the webhook on, and the server's own where it speaks TLS. The first is the
    one to publish.
    """

    domain: str
    path: str
    allowed_hosts: Sequence[str]
    ports: Sequence[int]

    @property
    def url(self) -> str:
        """The address to give to fal."""
        port = "" if self.ports[0] == HTTPS_PORT else f":{self.ports[0]}"
        return f"https://{self.domain}{port}{self.path}"

    def answers_to(self, host: str) -> bool:
        """Tell whether ALLOWED_HOSTS admits this name."""
        return any(
            pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))
            for pattern in self.allowed_hosts
        )


def compare(url: str | None, place: Place, language: Language) -> list[Finding]:
    """Compare FAL_WEBHOOK_URL with the name, ports and path of this server."""
    if url is None:
        found = [finding(WORDS, "webhook_url.absent", language, wanted=place.url)]
        return found if place.answers_to(place.domain) else [*found, _refused(place.domain, language)]
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    port = parts.port or HTTPS_PORT
    facts = {"wanted": place.url, "domain": place.domain, "right": place.path}
    found = []
    if parts.scheme != "https":
        found.append(finding(WORDS, "webhook_url.plain", language, **facts))
    if host != place.domain and not place.answers_to(host):
        found.append(finding(WORDS, "webhook_url.host", language, host=host, **facts))
    elif not place.answers_to(host):
        found.append(_refused(host, language))
    if port not in place.ports:
        shown = ", ".join(str(number) for number in place.ports)
        found.append(finding(WORDS, "webhook_url.port", language, port=port, ports=shown, **facts))
    if parts.path != place.path:
        found.append(finding(WORDS, "webhook_url.path", language, path=parts.path or "/", **facts))
    return found or [finding(WORDS, "webhook_url.ok", language, url=url)]


def _refused(host: str, language: Language) -> Finding:
    return finding(WORDS, "webhook_url.refused_host", language, host=host)
