"""The table of looks: a new look is one row here."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from app.doctor import certificate_looks, machine_looks, outside_looks
from app.doctor.examine import SECONDS, Look
from app.doctor.finding import Finding
from app.doctor.host import commands
from app.doctor.installation import Installation
from app.domain.language import Bilingual, pick

FILE_SECONDS = 10.0  # reading every public root takes a second on a slow machine
SERVED_SECONDS = FILE_SECONDS + 12.0
ASK_SECONDS = 10.0  # two requests
DATABASE_SECONDS = 30.0  # a SQLite file of 1 GiB is read through


@dataclass(frozen=True, slots=True)
class Row:
    """One look: what it is called, what it does, its deadline in seconds, and whether `doctor tls` takes it, too."""

    subject: Bilingual
    look: Callable[[Installation], Awaitable[Sequence[Finding]]]
    seconds: float = SECONDS
    of_tls: bool = False


ROWS = (
    Row(("сертификат", "certificate"), certificate_looks.certificate, FILE_SECONDS, of_tls=True),
    Row(("сертификат на порту", "certificate on the port"), certificate_looks.served, SERVED_SECONDS, of_tls=True),
    Row(("порт", "port"), machine_looks.own_port, of_tls=True),
    Row(("перенаправления", "redirects"), outside_looks.own_redirects, ASK_SECONDS, of_tls=True),
    Row(("внешний адрес", "public address"), outside_looks.public_redirects, ASK_SECONDS, of_tls=True),
    Row(("сертификат nginx", "nginx's certificate"), certificate_looks.nginx_certificate, FILE_SECONDS, of_tls=True),
    Row(
        ("сертификат на портах nginx", "certificate on nginx's ports"),
        certificate_looks.nginx_served,
        SERVED_SECONDS,
        of_tls=True,
    ),
    Row(("nginx", "nginx"), machine_looks.nginx_rules),
    Row(("DNS", "DNS"), outside_looks.dns),
    Row(("FAL_WEBHOOK_URL", "FAL_WEBHOOK_URL"), outside_looks.given_url),
    Row(("файрвол", "firewall"), machine_looks.firewall_state, 3 * commands.SECONDS),
    Row(("база", "database"), machine_looks.database, DATABASE_SECONDS),
    Row(("ключи fal и часы", "fal's keys and the clock"), outside_looks.fal_keys),
    Row(("адреса fal", "fal's addresses"), outside_looks.fal_addresses),
    Row(("аккаунт fal", "fal account"), outside_looks.fal_account),
    Row(("Telegram", "Telegram"), outside_looks.telegram),
    Row(("диск", "disk"), machine_looks.folders),
    Row(("секреты в git", "secrets in git"), machine_looks.secrets_in_git, 2 * commands.SECONDS),
    Row((".env", ".env"), machine_looks.env_file),
)


def looks_at(installation: Installation, *, only_tls: bool) -> list[Look]:
    """List what to look at, in the order of the table; `only_tls` takes the rows of `doctor tls`."""
    patience, language = installation.machine.patience, installation.language
    return [
        Look(pick(row.subject, language), partial(row.look, installation), row.seconds * patience)
        for row in ROWS
        if row.of_tls or not only_tls
    ]
