"""The certificate: look at it, make a self-signed one."""

import sys
from typing import Annotated

import typer

from app.cli.output import Exit, print_fields, print_json
from app.core.clock import SystemClock
from app.core.loading import load_settings
from app.tls.certificates import ensure_pair, facts_of
from app.tls.chain import full_chain

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The TLS certificate.")


@app.command()
def status(*, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show the certificate that the server would serve; exit 78 when it could not."""
    settings = load_settings()
    language = settings.operator_language
    pair = full_chain(settings.ssl_cert_path, settings.ssl_key_path, settings.ssl_ca_bundle_path, language)
    facts = facts_of(pair.leaf, SystemClock().now())
    shown = {
        "subject": facts.subject,
        "names": ", ".join(facts.names),
        "issuer": facts.issuer,
        "not_before": facts.not_before,
        "not_after": facts.not_after,
        "days_left": facts.days_left,
        "key_type": facts.key_type,
        "fingerprint": facts.fingerprint,
        "self_signed": facts.self_signed,
        "certificates_served": len(pair.chain),
        "missing_issuer": pair.missing_issuer,
    }
    if json:
        print_json(shown)
    else:
        print_fields(shown)


@app.command("self-signed")
def self_signed() -> None:
    """Make a self-signed pair where there is none; an existing file is never overwritten."""
    settings = load_settings()
    language = settings.operator_language
    now = SystemClock().now()
    if not ensure_pair(settings.ssl_cert_path, settings.ssl_key_path, settings.api_domain, now, language):
        sys.stderr.write(f"{settings.ssl_cert_path} and {settings.ssl_key_path} are there already\n")
        raise typer.Exit(Exit.CHECK_FAILED)
    sys.stdout.write(f"{settings.ssl_cert_path}, {settings.ssl_key_path}\n")
