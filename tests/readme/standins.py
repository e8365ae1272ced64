"""Programs that stand first in PATH in place of those that would change the machine; each call is written down.

`sudo` runs what is ours (the command, the repair, certbot's hook) with `/etc/` and the project's folder put elsewhere;
everything else that it is given is only written down. `certbot` leaves a certificate where the real one would, and
`git clone` the project as it is here.
"""

from pathlib import Path

RECORDED = ("apt", "systemctl", "journalctl", "nginx", "ufw", "docker", "useradd")

RECORD = """#!/bin/bash
printf '%s\\n' "${0##*/} $*" >> "$STANDIN_CALLS"
"""
IS_ACTIVE = "[[ ${1-} != is-active ]]\n"  # nothing runs under this systemd

SUDO = r"""#!/bin/bash
hooks=$STANDIN_ROOT/etc/letsencrypt/renewal-hooks/deploy
words=()
if [[ $1 == -u ]]; then shift 2; fi
for word in "$@"; do
    word=${word//\/etc\//$STANDIN_ROOT/etc/}
    if ((${#words[@]} == 0)) && [[ $word == *=* ]]; then export "${word?}"; else words+=("$word"); fi
done
case "${words[*]}" in
    *" install systemd"*) exec "${words[@]}" --into "$STANDIN_ROOT/etc/systemd/system" ;;
    *" cert install-hook"*) exec "${words[@]}" --into "$hooks/aisha-webhook.sh" ;;
    .venv/bin/aisha-webhook* | ./fix_ssl_certificate.sh* | "$STANDIN_ROOT"/etc/letsencrypt/*) exec "${words[@]}" ;;
esac
printf '%s\n' "$*" >> "$STANDIN_CALLS"
if [[ " $* " == *" /dev/stdin "* ]]; then cat > /dev/null; fi
if [[ $1 == certbot ]]; then exec "$@"; fi
"""

CERTBOT = r"""#!/bin/bash
live=$STANDIN_ROOT/etc/letsencrypt/live/aibots.kz
if [[ -e $live/fullchain.pem ]]; then exit; fi
mkdir -p "$live"
openssl req -x509 -nodes -days 30 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout "$live/privkey.pem" \
    -out "$live/fullchain.pem" -subj /CN=aibots.kz -addext subjectAltName=DNS:aibots.kz 2>/dev/null
"""

GIT = """#!/bin/bash
if [[ $1 != clone ]]; then exec /usr/bin/git "$@"; fi
mkdir -p "$3" && cp -a "$STANDIN_PROJECT/." "$3"
"""

TAIL = """#!/bin/bash
if [[ $1 == -f ]]; then printf '%s\\n' "tail $*" >> "$STANDIN_CALLS"; else exec /usr/bin/tail "$@"; fi
"""

CURL = """#!/bin/bash
printf '%s\\n' "curl $*" >> "$STANDIN_CALLS"
"""


def put_up(folder: Path) -> None:
    """Write the stand-ins into a folder, and into `outside` below it what speaks to fal in place of curl."""
    programs = dict.fromkeys(RECORDED, RECORD)
    programs["systemctl"] += IS_ACTIVE
    programs |= {"sudo": SUDO, "certbot": CERTBOT, "git": GIT, "tail": TAIL, "nano": RECORD, "outside/curl": CURL}
    for name, text in programs.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
