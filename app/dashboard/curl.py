"""A delivery as a command line."""

import base64
import shlex
from collections.abc import Mapping


def as_curl(url: str, headers: Mapping[str, str], body: bytes) -> str:
    """Write a shell command that sends these headers and bytes again; both are quoted.

    `--data-raw`, because `--data-binary` would take a body that begins with @ for the name of a file to send.
    fal's signature goes with them, and is refused five minutes after its time.
    """
    given = " ".join(f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items())
    command = f"curl -sS {shlex.quote(url)} -H 'Content-Type: application/json' {given}"
    text = body.decode("utf-8", "replace")
    if text.isprintable() and "\ufffd" not in text:
        return f"{command} --data-raw {shlex.quote(text)}"
    return f"echo {base64.b64encode(body).decode()} | base64 -d | {command} --data-binary @-"
