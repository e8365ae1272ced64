"""How this program is called by somebody who stands in another folder, such as the reader of an alert."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from app.files.ownership import ROOT, ownership_of

NAME = "aisha-webhook"
WRAPPER = Path("/usr/local/bin") / NAME  # the command that `install systemd` writes: in our folder, as our account


def command_from_anywhere() -> str:
    """Return the name of the command where its wrapper is installed, else what comes back here and calls our own.

    The folder of this process holds its settings. Another account would make files that ours cannot write.
    """
    if WRAPPER.exists():
        return NAME
    own = Path(sys.executable).with_name(NAME)
    program = shlex.quote(str(own)) if own.exists() else f"{shlex.quote(sys.executable)} -m app.cli"
    folder = Path.cwd()
    us = ownership_of(folder).us
    account = shlex.quote(f"#{us}" if us.isdigit() else us)
    switch = f"sudo -u {account} " if os.geteuid() != ROOT and shutil.which("sudo") else ""
    return f"cd {shlex.quote(str(folder))} && {switch}{program}"
