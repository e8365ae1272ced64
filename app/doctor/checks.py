"""The table of looks: a new look is one row here."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from app.catalog import translate
from app.doctor import certificate_looks, machine_looks, outside_looks
from app.doctor.examine import SECONDS, Look
from app.doctor.finding import Finding
from app.doctor.host import commands
from app.doctor.installation import Installation
from app.domain.language import Msgid, msgid

FILE_SECONDS = 10.0  # reading every public root takes a second on a slow machine
SERVED_SECONDS = FILE_SECONDS + 12.0
ASK_SECONDS = 10.0  # two requests
DATABASE_SECONDS = 30.0  # a SQLite file of 1 GiB is read through


@dataclass(frozen=True, slots=True)
class Row:
    """One look: what it is called, what it does, its deadline in seconds, and whether `doctor tls` takes it, too."""

    subject: Msgid
    look: Callable[[Installation], Awaitable[Sequence[Finding]]]
    seconds: float = SECONDS
    of_tls: bool = False


ROWS = (
    Row(msgid("certificate"), certificate_looks.certificate, FILE_SECONDS, of_tls=True),
    Row(msgid("certificate on the port"), certificate_looks.served, SERVED_SECONDS, of_tls=True),
    Row(msgid("port"), machine_looks.own_port, of_tls=True),
    Row(msgid("redirects"), outside_looks.own_redirects, ASK_SECONDS, of_tls=True),
    Row(msgid("public address"), outside_looks.public_redirects, ASK_SECONDS, of_tls=True),
    Row(msgid("nginx's certificate"), certificate_looks.nginx_certificate, FILE_SECONDS, of_tls=True),
    Row(
        msgid("certificate on nginx's ports"),
        certificate_looks.nginx_served,
        SERVED_SECONDS,
        of_tls=True,
    ),
    Row(Msgid("nginx"), machine_looks.nginx_rules),
    Row(Msgid("DNS"), outside_looks.dns),
    Row(Msgid("FAL_WEBHOOK_URL"), outside_looks.given_url),
    Row(msgid("firewall"), machine_looks.firewall_state, 3 * commands.SECONDS),
    Row(msgid("database"), machine_looks.database, DATABASE_SECONDS),
    Row(msgid("fal's keys and the clock"), outside_looks.fal_keys),
    Row(msgid("fal's addresses"), outside_looks.fal_addresses),
    Row(msgid("fal account"), outside_looks.fal_account),
    Row(Msgid("Telegram"), outside_looks.telegram),
    Row(msgid("disk"), machine_looks.folders),
    Row(msgid("secrets in git"), machine_looks.secrets_in_git, 2 * commands.SECONDS),
    Row(Msgid(".env"), machine_looks.env_file),
)


def looks_at(installation: Installation, *, only_tls: bool) -> list[Look]:
    """List what to look at, in the order of the table; `only_tls` takes the rows of `doctor tls`."""
    patience, language = installation.machine.patience, installation.language
    return [
        Look(translate(row.subject, language), partial(row.look, installation), row.seconds * patience)
        for row in ROWS
        if row.of_tls or not only_tls
    ]
