"""A client generated from the OpenAPI document meets no answer that it does not describe."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.project import ROOT
from tests.e2e.serving import serving, short_lived
from tests.faults.rig import tell

SEEDS = [int(seed) for seed in os.environ.get("SCHEMATHESIS_SEEDS", "20261129").split()]  # noqa: TID251  a setting of the tests
EXAMPLES = 60  # of each operation
CHECKS = "status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance"
TOKEN = "a-token-of-the-tests-0123456789-0123456789"
PATIENCE = 240  # s
FROM_PYPI = "schemathesis>=4.20,<5"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_generated_client_meets_nothing_undocumented(tmp_path: Path, seed: int) -> None:
    """Schemathesis, valid and invalid requests by the document: no status, type, header or code that is not in it."""
    found = shutil.which("st")
    tool = [found] if found else [sys.executable, "-m", "uv", "tool", "run", "--quiet", "--from", FROM_PYPI, "st"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".tools"), "UV_SYSTEM_CERTS": "true"}  # noqa: TID251  a tool of this machine
    if subprocess.run([*tool, "--version"], env=environment, capture_output=True, check=False).returncode:
        pytest.skip("schemathesis could not be installed from PyPI")
    pair = short_lived(tmp_path)
    with serving(tmp_path / "server", pair, API_DEBUG="true", API_TOKEN=TOKEN, IP_FILTER="report") as served:
        command = [*tool, "run"]
        command += [f"https://127.0.0.1:{served.port}/openapi.json", "--checks", CHECKS, "--seed", str(seed)]
        command += ["--max-examples", str(EXAMPLES), "--phases", "examples,coverage,fuzzing", "--tls-verify", "false"]
        command += ["--header", f"Authorization: Bearer {TOKEN}", "--continue-on-failure", "--no-color"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    asked = re.search(r"(\d+) generated", done.stdout)
    tell("schemathesis", seed=seed, requests=asked.group() if asked else "?")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
