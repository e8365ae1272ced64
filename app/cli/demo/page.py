"""How the demo is shown: step by step for people, as one document for machines."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from app.cli.demo.report import Event, Exchange, Look, Note, Report
from app.cli.demo.words import DemoWords
from app.core.text import one_line

BODY_SHOWN = 800  # characters
Row = tuple[str, str]


class Page:
    """Prints as things happen. What a stranger wrote cannot steer the terminal."""

    def __init__(self, words: DemoWords, console: Console) -> None:
        self._words = words
        self._console = console

    def say(self, name: str, **values: object) -> None:
        """Print one sentence."""
        self._print(self._words(name, **values))

    def show(self, report: Report) -> None:
        """Print one step."""
        self._print(f"\n{report.number}. {self._words(report.name)}", "bold")
        self._indent(Text(self._words(f"{report.name}.story"), "italic"))
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(overflow="fold")
        for event in report.events:
            for label, text in self._rows(event):
                grid.add_row(Text(label), Text(one_line(text)))
        if grid.row_count:
            self._indent(grid)
        for sentence in self._faults(report):
            self._indent(Text(f"✗ {one_line(sentence)}", "bold red"))
        if report.right:
            self._indent(Text(f"✓ {self._words('right')}", "green"))

    def summarise(self, reports: Sequence[Report], seconds: float) -> None:
        """Print the closing table and the verdict."""
        table = Table(box=None, pad_edge=False)
        for column in ("number", "step", "http", "avatar", "told", "verdict"):
            table.add_column(self._words(f"column.{column}"), overflow="fold", no_wrap=column == "step")
        for report in reports:
            table.add_row(
                str(report.number),
                self._words(report.name),
                _short([str(status or "-") for status in report.statuses]),
                _short([one_line(str(look.avatar["status"])) for look in report.looks]),
                str(report.told),
                Text("✓", "green") if report.right else Text("✗", "bold red"),
            )
        self._console.print()
        self._console.print(table)
        wrong = sum(not report.right for report in reports)
        name = "not_right" if wrong else "all_right"
        self._print(f"\n{self._words(name, wrong=wrong, count=len(reports), seconds=f'{seconds:.1f}')}", "bold")

    def quote(self, lines: Sequence[str]) -> None:
        """Print the last lines of the server's log."""
        self.say("tail")
        for line in lines:
            self._indent(Text(one_line(line)))

    def _rows(self, event: Event) -> Iterator[Row]:
        match event:
            case Exchange():
                yield from self._exchange(event)
            case Look():
                yield from self._look(event)
            case Note(name, values):
                yield self._label("note"), self._words(name, **values)

    def _exchange(self, exchange: Exchange) -> Iterator[Row]:
        what = self._words(exchange.what)
        yield self._label("sent"), self._words("size", what=what, size=len(exchange.body))
        if exchange.show_body:
            body = exchange.body.decode(errors="replace")
            yield self._label("body"), body if len(body) <= BODY_SHOWN else f"{body[:BODY_SHOWN]}…"
        yield self._label("answer"), self._answer(exchange)

    def _answer(self, exchange: Exchange) -> str:
        if exchange.status is None:
            return self._words("no_answer", error=exchange.error)
        if "code" in exchange.answer:
            return f"{exchange.status} {exchange.answer['code']}: {exchange.answer.get('detail')}"
        return f"{exchange.status} {json.dumps(dict(exchange.answer), ensure_ascii=False)}"

    def _look(self, look: Look) -> Iterator[Row]:
        for row in look.deliveries:
            stored = self._words("stored", **{name: row[name] for name in ("id", "state", "reason", "repeats")})
            yield self._label("inbox"), f"{stored} ({row['detail']})" if row["detail"] else stored
        if not look.deliveries:
            yield self._label("inbox"), self._words("not_stored")
        yield self._label("avatar"), self._avatar(look)
        yield from self._told(look)

    def _avatar(self, look: Look) -> str:
        after = look.avatar["status"]
        verb = "unchanged" if after == look.before else "changed"
        gains = [f"{look.avatar['training_progress']} %"] if after == "completed" else []
        gains += [
            f"{column}: {look.avatar[column]}"
            for column in ("lora_url", "finetune_id", "training_error")
            if look.avatar[column]
        ]
        if look.avatar["is_blocked"]:
            gains.append(self._words("blocked"))
        return ", ".join([self._words(verb, name=look.job.name, before=look.before, after=after), *gains])

    def _told(self, look: Look) -> Iterator[Row]:
        label = self._label("owner")
        for message in look.messages:
            yield label, self._words("message", id=message.message_id, chat=message.chat_id)
            for line in (*message.shown.splitlines(), *(f"[{button}]" for button in buttons(message.reply_markup))):
                yield "", f"│ {line}"
        untold = [row for row in look.notifications if row["state"] != "sent"]
        for row in untold:
            yield label, self._words("untold", reason=row["reason"], detail=row["detail"])
        if not look.messages and not untold:
            yield label, self._words("silence")

    def _faults(self, report: Report) -> Iterator[str]:
        for check in report.checks:
            if not check.holds:
                yield self._words("wrong", name=check.name, expected=check.expected, seen=check.seen)
        if not report.finished:
            yield self._words("not_finished")

    def _label(self, name: str) -> str:
        return self._words(f"label.{name}")

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style))

    def _indent(self, content: Text | Table) -> None:
        self._console.print(Padding(content, (0, 0, 0, 3), expand=False))


def buttons(reply_markup: Any) -> list[str]:
    """List the labels of a message's buttons."""
    if not isinstance(reply_markup, dict):
        return []
    return [str(button["text"]) for row in reply_markup.get("inline_keyboard", ()) for button in row]


def document(reports: Sequence[Report], words: DemoWords, seconds: float) -> dict[str, Any]:
    """Make the whole demo one JSON document."""
    return {
        "right": all(report.right for report in reports),
        "seconds": round(seconds, 1),
        "language": words.language,
        "steps": [
            {
                "number": report.number,
                "name": report.name,
                "title": words(report.name),
                "right": report.right,
                "finished": report.finished,
                "messages": report.told,
                "events": [_event(event, words) for event in report.events],
                "checks": [
                    {"name": check.name, "expected": check.expected, "seen": check.seen, "holds": check.holds}
                    for check in report.checks
                ],
            }
            for report in reports
        ],
    }


def _event(event: Event, words: DemoWords) -> dict[str, Any]:
    match event:
        case Exchange(what, request_id, body, status, answer, error):
            sent = {"what": what, "request_id": request_id, "body": body.decode(errors="replace")}
            return {"sent": sent, "status": status, "answer": dict(answer), "error": error}
        case Look(job, before, avatar, deliveries, notifications, messages):
            return {
                "request_id": job.request_id,
                "avatar": {"id": job.avatar_id, "name": job.name, "before": before, **avatar},
                "deliveries": [_chosen(row, ("id", "state", "reason", "repeats", "detail")) for row in deliveries],
                "notifications": [_chosen(row, ("id", "kind", "state", "reason", "detail")) for row in notifications],
                "messages": [
                    {"chat_id": message.chat_id, "text": message.shown, "buttons": buttons(message.reply_markup)}
                    for message in messages
                ],
            }
        case Note(name, values):
            return {"note": words(name, **values)}


def _chosen(row: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _short(words: Sequence[str]) -> str:
    """Write runs of the same word once: `200 ×3, 403`."""
    runs: list[tuple[str, int]] = []
    for word in words:
        if runs and runs[-1][0] == word:
            runs[-1] = (word, runs[-1][1] + 1)
        else:
            runs.append((word, 1))
    return ", ".join(word if count == 1 else f"{word} ×{count}" for word, count in runs)
