"""The certificate: look at it, make a self-signed one, complete its chain."""

import sys
from typing import Annotated

import typer

from app.catalog import translate
from app.cli.hook import install_hook
from app.cli.output import print_fields, print_json, say
from app.core.clock import SystemClock
from app.core.config import Settings
from app.core.exit_codes import Exit
from app.core.setting_loader import load_settings
from app.doctor import report
from app.doctor.cert_paths import missing_issuers, names_of, paths_of
from app.doctor.finding import Level
from app.doctor.tls.dates import judge_dates
from app.doctor.tls.examination import Examined, examine_files
from app.doctor.tls.repair import mend_chain
from app.domain.language import msgid
from app.tls.certificates import ensure_pair, facts_of
from app.tls.chain import put_together
from app.tls.pair_files import read_content

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The TLS certificate.")
app.command("install-hook")(install_hook)

THERE = msgid("{cert} and {key} are there already")
LABELS = {
    "subject": msgid("subject"),
    "names": msgid("names"),
    "issuer": msgid("issuer"),
    "not_before": msgid("valid from"),
    "not_after": msgid("valid until"),
    "days_left": msgid("days left"),
    "dates": msgid("judged"),
    "dates_verdict": msgid("because"),
    "key_type": msgid("key"),
    "fingerprint": msgid("fingerprint, SHA-256"),
    "self_signed": msgid("self-signed"),
    "certificates_served": msgid("certificates served"),
    "missing_issuer": msgid("missing issuer"),
}
YES, NO = msgid("yes"), msgid("no")
SEVERITY = (Level.OK, Level.WARN, Level.FAIL)


@app.command()
def status(*, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show the certificate that the server would serve; exit 78 when it could not."""
    settings = load_settings()
    paths, language = paths_of(settings), settings.operator_language
    now = SystemClock().now()
    pair = put_together(read_content(paths, language), paths, language, now)
    facts = facts_of(pair.leaf, now)
    dates = judge_dates(pair.chain, now, language)
    shown = {
        "subject": facts.subject,
        "names": list(facts.names),
        "issuer": facts.issuer,
        "not_before": facts.not_before,
        "not_after": facts.not_after,
        "days_left": facts.days_left,
        "dates": max((finding.level for finding in dates), key=SEVERITY.index).value,
        "dates_verdict": "; ".join(finding.text for finding in dates),
        "key_type": facts.key_type,
        "fingerprint": facts.fingerprint,
        "self_signed": facts.self_signed,
        "certificates_served": len(pair.chain),
        "missing_issuer": pair.missing_issuer,
    }
    if json:
        print_json(shown)
    else:
        answer = {"names": ", ".join(facts.names), "self_signed": translate(YES if facts.self_signed else NO, language)}
        print_fields({translate(LABELS[name], language): value for name, value in (shown | answer).items()})


@app.command("self-signed")
def self_signed() -> None:
    """Make a self-signed pair where there is none; an existing file is never overwritten."""
    settings = load_settings()
    language = settings.operator_language
    now = SystemClock().now()
    if not ensure_pair(settings.ssl_cert_path, settings.ssl_key_path, settings.api_domain, now, language):
        sys.stderr.write(f"{say(THERE, cert=settings.ssl_cert_path, key=settings.ssl_key_path)}\n")
        raise typer.Exit(Exit.CHECK_FAILED)
    sys.stdout.write(f"{settings.ssl_cert_path}, {settings.ssl_key_path}\n")


@app.command("fix-chain")
def fix_chain() -> None:
    """Complete the certificate's file: missing intermediates are fetched, order is mended, the old file is kept.

    Exit 78 when the pair cannot be served, 69 when nothing could be fetched, 1 when the chain is still not in order.
    """
    settings = load_settings()
    paths, language = paths_of(settings), settings.operator_language
    before = _examine(settings)
    if before.pair is None:
        report.show([], before.findings, language, fix=False)
        raise typer.Exit(Exit.CONFIG)
    done = mend_chain(paths, before, missing_issuers(before, SystemClock().now()), language)
    after = [finding for finding in _examine(settings).findings if finding.code.startswith(("chain.", "trust."))]
    report.show(done, after, language, fix=True)
    if any(finding.code == "repair.not_fetched" for finding in done):
        raise typer.Exit(Exit.REMOTE_DOWN)
    if any(finding.level is Level.FAIL for finding in (*done, *after)):
        raise typer.Exit(Exit.CHECK_FAILED)


def _examine(settings: Settings) -> Examined:
    return examine_files(paths_of(settings), names_of(settings), SystemClock().now(), settings.operator_language)
