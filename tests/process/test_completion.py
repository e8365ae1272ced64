"""Completion in a real shell, which starts the command for each word."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_the_words_of_a_search(tmp_path: Path) -> None:
    """bash splits `state:de` at the colon; qualifiers, their words and a quoted filter are completed all the same."""
    own = shutil.copy(Path(sys.executable).with_name("aisha-webhook"), tmp_path)
    asked = {
        "deliveries list sta": "state:",
        "deliveries tail state : de": "dead",
        "jobs list outcome : g": "gone",
        "notifications redrive --filter 'state:un": "state:unsent",
    }
    lines = [f'eval "$(_AISHA_WEBHOOK_COMPLETE=source_bash {own})"']
    for words in asked:
        spelled = words.replace("'", "\\'")
        lines.append(f"COMP_WORDS=(aisha-webhook {spelled}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))")
        lines.append(f'_aisha_webhook_completion {own}; echo "${{COMPREPLY[*]}}"')
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)], check=False, capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.stdout.splitlines() == list(asked.values()), done.stderr
