"""Who renews a certificate: files that certbot owns are certbot's to write."""

import shlex
from pathlib import Path

from app.doctor.tls.words_chain import CERTBOT_NEW
from app.tls.causes import ANEW
from app.tls.deploy_hook import handed_over
from app.tls.pair_files import PairPaths

LETS_ENCRYPT = Path("/etc/letsencrypt")
HOLDERS = ("live", "archive")  # certbot's folders of lineages: links, and what they point to


def lineage_of(path: Path) -> str | None:
    """Name certbot's lineage that `path` belongs to, itself or through a link; None for a file of the operator's.

    Known by certbot's own layout, wherever its folder is: `live/NAME/file` beside `renewal/NAME.conf`.
    """
    for place in (path.absolute(), path.resolve()):
        lineage = place.parent
        if lineage.parent.name not in HOLDERS:
            continue
        home = lineage.parent.parent
        if home == LETS_ENCRYPT or is_there(home / "renewal" / f"{lineage.name}.conf"):
            return lineage.name
    return None


def certbot_renews(lineage: str) -> str:
    """Return the command that makes certbot issue `lineage` anew."""
    return f"sudo certbot renew --force-renewal --cert-name {shlex.quote(lineage)}"


def renews(paths: PairPaths, name: str, *, self_signed: bool) -> str:
    """Return the command that gets a new certificate for `name` in place of the present one."""
    lineage = lineage_of(paths.cert)
    if lineage is not None:
        return certbot_renews(lineage)
    if self_signed and (handing := handed_over(paths.cert)) is not None:
        return handing
    if self_signed:
        return ANEW.format(cert=shlex.quote(str(paths.cert)), key=shlex.quote(str(paths.key)))
    return CERTBOT_NEW.format(name=shlex.quote(name))


def is_there(path: Path) -> bool:
    """Whether `path` exists, as far as we may see: certbot closes its folders to all but root."""
    try:
        return path.exists()
    except OSError:
        return False
