"""sslyze's verdict on a TLS server, against Mozilla's recommendations.

It brings an OpenSSL of 2017 to ask for what no present one will say any more, so it lives in an environment of its own,
`.tools/sslyze`, made at the first call.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

from tests.process.conftest import ROOT

VERSION = "6.3.1"
HOME = ROOT / ".tools" / "sslyze"
PYTHON = HOME / "bin" / "python"
SCAN_WITHIN = 300  # s
INSTALL_WITHIN = 300  # s
# As it is before the tests clear it of settings: an index of packages may need its own certificates.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / ".tools")}  # noqa: TID251  for the child

# Runs there, not here.
SCAN = """
import json, sys
from pathlib import Path
from sslyze import CertificateInfoExtraArgument, ScanCommand, ScanCommandsExtraArguments, Scanner
from sslyze import ServerNetworkConfiguration, ServerNetworkLocation, ServerScanRequest
from sslyze.mozilla_tls_profile.tls_config_checker import (
    SCAN_COMMANDS_NEEDED_BY_MOZILLA_CHECKER, MozillaTlsConfiguration, ServerNotCompliantWithTlsConfiguration,
    TlsConfigurationEnum, check_server_against_tls_configuration)

host, port, name, ca, profile = sys.argv[1:]
wanted = MozillaTlsConfiguration.get(TlsConfigurationEnum(profile))
scanner = Scanner(per_server_concurrent_connections_limit=3)
scanner.queue_scans([ServerScanRequest(
    server_location=ServerNetworkLocation(hostname=name, port=int(port), ip_address=host),
    scan_commands=SCAN_COMMANDS_NEEDED_BY_MOZILLA_CHECKER | {ScanCommand.HTTP_HEADERS},
    scan_commands_extra_arguments=ScanCommandsExtraArguments(
        certificate_info=CertificateInfoExtraArgument(custom_ca_file=Path(ca))))])
result = next(scanner.get_results())
complaints = {}
try:
    check_server_against_tls_configuration(result, wanted)
except ServerNotCompliantWithTlsConfiguration as found:
    complaints = dict(found.issues)
header = result.scan_result.http_headers.result.strict_transport_security_header
if header is None or (header.max_age or 0) < wanted.hsts_min_age:  # sslyze itself leaves this out
    complaints["hsts_min_age"] = f"HSTS: {header}, wanted: {wanted.hsts_min_age} s"
curves = sorted(curve.name for curve in result.scan_result.elliptic_curves.result.supported_curves or ())
print(json.dumps({"complaints": complaints, "curves": curves}))
"""


class ScannerMissing(Exception):
    """Raised when sslyze is not here and cannot be installed; says why."""


def scan(
    host: str, port: int, ca: Path, profile: Literal["intermediate", "modern"], name: str = "localhost"
) -> list[str]:
    """Return what is against `profile`, a line each; *name* is asked for by SNI and Host. Raises ScannerMissing."""
    return _scan(host, port, ca, profile, name)[0]


def curves_of(host: str, port: int, ca: Path, name: str = "localhost") -> list[str]:
    """Return the curves on offer, as the standards name them. Raises ScannerMissing."""
    return _scan(host, port, ca, "intermediate", name)[1]


def _scan(host: str, port: int, ca: Path, profile: str, name: str) -> tuple[list[str], list[str]]:
    _install()
    done = subprocess.run(
        [str(PYTHON), "-c", SCAN, host, str(port), name, str(ca), profile],
        check=False,
        capture_output=True,
        text=True,
        timeout=SCAN_WITHIN,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads(done.stdout)
    return [f"{topic}: {words}" for topic, words in sorted(seen["complaints"].items())], seen["curves"]


def _install() -> None:
    if (HOME / f"sslyze-{VERSION}").exists():
        return
    uv = [sys.executable, "-m", "uv"]
    for command in (
        [*uv, "venv", "--quiet", "--clear", "--no-python-downloads", "--python", sys.executable, str(HOME)],
        [*uv, "pip", "install", "--quiet", "--python", str(PYTHON), f"sslyze=={VERSION}"],
    ):
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT, timeout=INSTALL_WITHIN)
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            raise ScannerMissing(f"sslyze {VERSION} cannot be installed: {said.strip()[-300:]}") from error
    (HOME / f"sslyze-{VERSION}").touch()
