"""`aisha-webhook reconcile`: ask fal about open jobs now, without waiting for their next look."""

import asyncio
import re
from datetime import timedelta
from typing import Annotated, Any

import typer

from app.bootstrap.asking import asking
from app.cli.ground import require_database
from app.cli.output import print_json, print_table, say
from app.core.clock import SystemClock
from app.core.exit_codes import Exit
from app.core.setting_loader import load_settings
from app.db import job_lists
from app.domain.language import msgid
from app.domain.look import End
from app.flows.ask import JobLook

app = typer.Typer(no_args_is_help=False, add_completion=False)
AT_ONCE = 20  # jobs between two looks at the budget
PAUSE = 0.5  # s, while the budget is spent
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
COLUMNS = ("request_id", "found", "stage", "endpoint", "why")


@app.command()
def reconcile(
    request_ids: Annotated[list[str] | None, typer.Argument(help="jobs to ask about; all open ones by default")] = None,
    since: Annotated[str | None, typer.Option(help="only those first seen within: 90m, 24h, 7d")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Ask fal about jobs and put what it says into the inbox; the running server applies it. Exit 1: some stay open."""
    within = None if since is None else _duration(since)
    found = asyncio.run(_reconcile(request_ids or [], within))
    if as_json:
        print_json(found)
    else:
        print_table(found, COLUMNS, say(msgid("no open jobs")))
    if any(row["found"] in ("open", "unknown") for row in found):
        raise typer.Exit(Exit.CHECK_FAILED)


async def _reconcile(named: list[str], within: timedelta | None) -> list[dict[str, Any]]:
    settings = load_settings()
    require_database(settings)
    async with asking(settings) as parts:
        now = SystemClock().now()
        await parts.intake.take_in()
        since = None if within is None else now - within
        wanted = named or await parts.database.read(job_lists.open_ids, since)
        found: list[dict[str, Any]] = []
        while wanted:
            if not (many := await parts.reconcile.allowed(min(AT_ONCE, len(wanted)))):
                await asyncio.sleep(PAUSE)
                continue
            asked, wanted = wanted[:many], wanted[many:]
            findings = {one.looked.job.request_id: one for one in await parts.reconcile.by_hand(asked)}
            found += [_row(request_id, findings.get(request_id)) for request_id in asked]
        return found


def _row(request_id: str, finding: JobLook | None) -> dict[str, Any]:
    if finding is None:
        why = f"no open job, or its delivery waits to be applied: aisha-webhook why {request_id}"
        return {"request_id": request_id, "found": "unknown", "stage": None, "endpoint": None, "why": why}
    step, job = finding.looked.step, finding.looked.job
    what = "result" if finding.body is not None else "ended" if isinstance(step, End) else "open"
    stage = job.stage if isinstance(step, End) else step.stage or job.stage
    return {
        "request_id": request_id,
        "found": what,
        "stage": stage,
        "endpoint": job.endpoint,
        "why": step.detail or step.reason,
    }


def _duration(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,5})([mhd])", text)
    if match is None:
        msg = "write it as 90m, 24h or 7d"
        raise typer.BadParameter(msg)
    return int(match[1]) * _UNITS[match[2]]
