"""A delivery as a command line."""

import base64
import shlex
from collections.abc import Mapping


def as_curl(url: str, headers: Mapping[str, str], body: bytes) -> str:
    """Write the command that sends these bytes again, whatever they are, to a shell whatever the headers hold.

    fal's signature covers them, so they can be sent nowhere else; five minutes after its time the server refuses it.
    """
    given = " ".join(f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items())
    command = f"curl -sS {shlex.quote(url)} -H 'Content-Type: application/json' {given}"
    text = body.decode("utf-8", "replace")
    if text.isprintable() and "\ufffd" not in text:
        return f"{command} --data-binary {shlex.quote(text)}"
    return f"echo {base64.b64encode(body).decode()} | base64 -d | {command} --data-binary @-"
