"""deploy/ works as shipped: units, rotation, firewall; and `install systemd` fills in the paths of a machine."""

import grp
import pwd
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from configparser import ConfigParser
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli import install, units
from app.cli.main import app
from app.core.config import Settings
from app.core.setting_meta import is_secret
from tests.docs.project import ROOT, page, project_files

UNITS = sorted(path.name for path in units.FOLDER.iterdir() if path.is_file())
SERVICES = [name for name in UNITS if name.endswith(".service")]
PORT = install.FIRST_PORT
POSTGRES = "postgresql://aisha:password@db.example/aisha"

Unit = dict[str, dict[str, list[str]]]


def parsed(text: str) -> Unit:
    """Read a unit: section → key → values in order. Fails on a line that is neither."""
    unit: Unit = {}
    section = ""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            section = heading[1]
            assert section not in unit, line
            unit[section] = {}
            continue
        setting = re.fullmatch(r"(\w+)=(.*)", line)
        assert setting is not None, line
        unit[section].setdefault(setting[1], []).append(setting[2])
    return unit


def shipped(name: str) -> Unit:
    return parsed((units.FOLDER / name).read_text(encoding="utf-8"))


def an_instance(name: str) -> str:
    """A template is judged by one of its instances."""
    return name.replace("@.", f"@{PORT}.")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that an operator stands in."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DEFAULT_LANGUAGE", "en")
    return folder


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["install", "systemd", *words])


def installed(into: Path, environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Install single and replicated units into one folder; return the names, templates as an instance."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for words in ((), ("--replicas", "2")):
        result = call("--into", str(into), *words)
        assert result.exit_code == 0, result.output
    for template in (path for path in into.iterdir() if "@." in path.name):
        template.rename(into / an_instance(template.name))
    (into / "aisha-webhook").unlink()  # the command beside the units
    return sorted(path.name for path in into.iterdir())


def tool(name: str) -> str:
    path = shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


# --- the shipped units ---


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_sections_and_settings(name: str) -> None:
    """Every line of a unit is a comment, a section or a setting, and no section comes twice."""
    unit = shipped(name)
    assert {"Unit", name.rpartition(".")[2].capitalize()} <= set(unit)


def test_every_unit_is_installed_by_somebody() -> None:
    """The folder holds what the command installs, and nothing else."""
    assert sorted((*units.SINGLE, *units.REPLICA, *units.BACKUP)) == UNITS


def test_the_sandbox_is_the_same_everywhere() -> None:
    """Between the marks every service says the same, to the letter."""
    block = re.compile(r"# --- the sandbox: .*?# --- end of the sandbox ---", re.DOTALL)
    blocks = {block.findall((units.FOLDER / name).read_text(encoding="utf-8"))[0] for name in SERVICES}
    assert len(blocks) == 1


@pytest.mark.parametrize("name", ["aisha-webhook-api.service", "aisha-webhook-api@.service"])
def test_exit_codes_mean_the_same_to_systemd(name: str) -> None:
    """Wrong settings (78) wait for a person; everything else starts again, for ever."""
    service = shipped(name)["Service"]
    assert service["Restart"] == ["always"]
    assert service["RestartPreventExitStatus"] == ["78"]
    assert shipped(name)["Unit"]["StartLimitIntervalSec"] == ["0"]


def test_the_owner_s_names_are_kept() -> None:
    """The owner's pages start `aisha-webhook-api.service` and ask after `aisha-api.service`: one and the same."""
    assert shipped("aisha-webhook-api.service")["Install"]["Alias"] == ["aisha-api.service"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_credential_is_a_secret_setting(name: str) -> None:
    """What a unit loads from the credential store is a secret that the settings know."""
    names = [line.partition(":")[0] for line in shipped(name)["Service"]["LoadCredential"]]
    assert names
    assert all(is_secret(Settings.model_fields[secret.lower()]) for secret in names)


def test_a_backup_forgets_only_after_a_new_one() -> None:
    """Old copies go in ExecStartPost=, which systemd runs only when ExecStart= succeeded."""
    service = shipped("aisha-webhook-backup.service")["Service"]
    folder = service["ExecStart"][0].rpartition(" ")[2]
    assert service["Type"] == ["oneshot"]
    assert service["ExecStartPost"][0].startswith(f"/usr/bin/find {folder} -maxdepth 1 -type f -name aisha-* -mtime ")
    assert "-delete" not in service["ExecStart"][0]


def test_the_wheel_holds_the_units() -> None:
    """A server that was installed as a wheel finds the units where a checkout has them."""
    build = tomllib.loads(page("pyproject.toml"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert build["force-include"]["deploy/systemd"] == "deploy/systemd"


# --- judged by systemd's own tools ---


def test_systemd_finds_nothing_to_say(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`systemd-analyze verify` is silent about every installed unit."""
    del project
    analyze = tool("systemd-analyze")
    into = tmp_path / "units"
    names = installed(into, {"DATABASE_URL": POSTGRES}, monkeypatch)
    done = subprocess.run(
        [analyze, "verify", "--man=no", *(f"./{name}" for name in names)],
        cwd=into,
        env={"SYSTEMD_UNIT_PATH": f"{into}:", "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_exposure_is_low(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`systemd-analyze security` gives each service 1.5 of 10 or less, also below a home folder."""
    del project
    analyze = tool("systemd-analyze")
    into = tmp_path / "units"
    names = installed(into, {"DATABASE_URL": POSTGRES}, monkeypatch)
    for name in names:
        if not name.endswith(".service"):
            continue
        text = (into / name).read_text(encoding="utf-8")
        for home in ("yes", "read-only"):
            (into / name).write_text(re.sub(r"ProtectHome=.*", f"ProtectHome={home}", text), encoding="utf-8")
            done = subprocess.run(
                [analyze, "security", "--offline=true", "--no-pager", "--threshold=15", f"./{name}"],
                cwd=into,
                env={"SYSTEMD_UNIT_PATH": f"{into}:", "PATH": "/usr/bin:/bin"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            level = re.search(r"Overall exposure level for .*: (\d+\.\d+)", done.stdout)
            assert level is not None, done.stdout
            assert float(level[1]) <= 1.5, name
            assert done.returncode == 0, name


def test_logrotate_accepts_its_file() -> None:
    """`logrotate -d` reads the file without an error."""
    done = subprocess.run(
        [tool("logrotate"), "--debug", "--state", "/dev/null", str(ROOT / "deploy/logrotate/aisha-webhook-nginx")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "error:" not in done.stdout
    assert "considering log /var/log/aisha/webhook_access.log" in done.stdout


def test_the_server_s_own_logs_are_not_rotated_twice() -> None:
    """logs/ rotates itself, so logrotate is given nginx's log alone."""
    patterns = re.findall(r"^(/\S+) \{", page("deploy/logrotate/aisha-webhook-nginx"), re.MULTILINE)
    assert patterns == ["/var/log/aisha/webhook_access.log"]


def test_the_firewall_opens_the_default_port(project: Path) -> None:
    """ufw's profile names the port that the server and its socket listen on."""
    del project
    profile = ConfigParser()
    profile.read_string(page("deploy/ufw/aisha-webhook"))
    port = Settings.model_fields["api_port"].default
    assert profile["Aisha Webhook"]["ports"] == f"{port}/tcp"
    assert f"\nListenStream=0.0.0.0:{port}\n" in call("--print").output


def test_everything_in_deploy_is_in_its_index() -> None:
    """deploy/README.md names every file below it, or the folder that it stands in."""
    index = page("deploy/README.md")
    for path in project_files():
        if path.parts[0] == "deploy" and path.name != "README.md":
            relative = path.relative_to("deploy")
            assert relative.as_posix() in index or f"({relative.parts[0]}/" in index, path


# --- the command ---


def test_only_the_places_differ(project: Path, tmp_path: Path) -> None:
    """What is installed is what is shipped, with every placeholder filled in and every other line as it was."""
    result = call("--into", str(tmp_path / "units"), "--user", "webhooks")
    assert result.exit_code == 0, result.output
    for name in (*units.SINGLE, *units.BACKUP):
        text = (tmp_path / "units" / name).read_text(encoding="utf-8")
        assert units.PLACEHOLDER.search(text) is None
        for ours, theirs in zip(
            text.splitlines(), (units.FOLDER / name).read_text(encoding="utf-8").splitlines(), strict=True
        ):
            if ours != theirs:
                assert units.PLACEHOLDER.search(theirs), ours
        service = parsed(text).get("Service")
        if service is not None:
            assert service["User"] == ["webhooks"]
            assert service["WorkingDirectory"] == [str(project)]
            assert service["ExecStart"][0].startswith(f"{sys.executable} -m app.")


def test_a_unit_names_a_page_that_is_there(project: Path, tmp_path: Path) -> None:
    """Documentation= leads to a page of this folder; where a wheel brought none, it leads nowhere."""
    for name, expected in (("wheel", ""), ("checkout", f"file:{project}/{units.PAGE}")):
        assert call("--into", str(tmp_path / name)).exit_code == 0
        told = parsed((tmp_path / name / units.SINGLE[0]).read_text(encoding="utf-8"))["Unit"]["Documentation"]
        assert told == [expected]
        (project / units.PAGE).parent.mkdir(exist_ok=True)
        (project / units.PAGE).touch()
    assert (ROOT / units.PAGE).is_file()


def test_the_settings_say_where_to_write(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders and the port come from the settings; a certificate of somebody else's is not written to."""
    monkeypatch.setenv("DATABASE_URL", "sqlite:////srv/shared/aisha.db")
    monkeypatch.setenv("LOG_DIR", "/srv/logs")
    monkeypatch.setenv("SSL_CERT_PATH", "/etc/letsencrypt/live/aibots.kz/fullchain.pem")
    monkeypatch.setenv("API_HOST", "::1")
    monkeypatch.setenv("API_PORT", "9443")
    shown = call("--print").output
    assert f"ReadWritePaths=/srv/shared {project}/data /srv/logs\n" in shown
    assert f"ReadWritePaths=/srv/shared {project}/data\n" in shown
    assert "ListenStream=[::1]:9443\n" in shown


@pytest.mark.parametrize(("home", "expected"), [("/home/aisha/server", "read-only"), ("/opt/aisha", "yes")])
def test_a_project_in_a_home_folder_can_be_seen(home: str, expected: str) -> None:
    """ProtectHome=yes would hide it, so there it is read-only."""
    values = units.UnitValues.of(
        Settings(),
        None,
        root=Path(home),
        python=Path(home, ".venv/bin/python"),
        outside=Path("/usr"),
        user="aisha",
        group="aisha",
    )
    assert f"ProtectHome={expected}\n" in units.render(units.SINGLE, values)["aisha-webhook-api.service"]


def test_a_changed_unit_is_left_alone(project: Path, tmp_path: Path) -> None:
    """Where one unit differs none is written, and the operator hears which; the same units again are no difference."""
    del project
    into = tmp_path / "units"
    assert call("--into", str(into)).exit_code == 0
    assert "unchanged" in call("--into", str(into)).output
    (into / "aisha-webhook-api.service").write_text("[Service]\n# mine\n")
    (into / "aisha-webhook-api.socket").unlink()
    result = call("--into", str(into))
    assert result.exit_code == 1
    assert "left alone: aisha-webhook-api.service\n" in result.output
    assert (into / "aisha-webhook-api.service").read_text() == "[Service]\n# mine\n"
    assert not (into / "aisha-webhook-api.socket").exists()


def test_force_keeps_the_old_unit(project: Path, tmp_path: Path) -> None:
    """With --force a changed unit is replaced; the old one stays beside it under a name that systemd passes over."""
    del project
    into = tmp_path / "units"
    assert call("--into", str(into)).exit_code == 0
    (into / "aisha-webhook-api.service").write_text("[Service]\n# mine\n")
    assert call("--into", str(into), "--force").exit_code == 0
    [kept] = into.glob("aisha-webhook-api.service.*.bak")
    assert kept.read_text() == "[Service]\n# mine\n"
    assert "Type=notify" in (into / "aisha-webhook-api.service").read_text()


def test_print_writes_nothing(project: Path, tmp_path: Path) -> None:
    """--print shows the units and leaves the folder as it was."""
    del project
    into = tmp_path / "units"
    result = call("--print", "--into", str(into))
    assert result.exit_code == 0
    assert not into.exists()
    for name in (*units.SINGLE, *units.BACKUP):
        assert f"# ---- {name}\n" in result.output


def test_the_next_commands_are_named(project: Path, tmp_path: Path) -> None:
    """What is left to do stands there ready to be copied: account, folders, reload, start."""
    (project / ".env").touch()
    shown = call("--into", str(tmp_path / "units"), "--user", "aisha-nobody-has").output
    commands = [line.strip() for line in shown.partition("Next:\n")[2].splitlines()]
    assert commands[0].startswith("sudo useradd --system ")
    assert f"sudo mkdir -p {project}/data {project}/logs {project}/ssl" in commands
    assert "sudo chgrp aisha-nobody-has .env && sudo chmod 640 .env" in commands
    assert "sudo systemctl daemon-reload" in commands
    assert (
        "sudo systemctl enable --now aisha-webhook-api.socket aisha-webhook-api.service aisha-webhook-backup.timer"
        in commands
    )


def test_an_account_that_exists_is_not_made_again(project: Path, tmp_path: Path) -> None:
    """Of an account that is there, the group is taken as well."""
    del project
    group = grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name
    result = call("--into", str(tmp_path / "units"), "--user", "nobody")
    assert "useradd" not in result.output
    assert f"sudo chown -R nobody:{group} " in result.output
    assert f"\nGroup={group}\n" in (tmp_path / "units" / "aisha-webhook-api.service").read_text()


def test_what_is_in_place_is_not_copied(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Units elsewhere are to be copied first; those in systemd's own folder are not."""
    del project
    copying = f"sudo cp {tmp_path}/units/aisha-webhook-* "
    assert copying in call("--into", str(tmp_path / "units")).output
    monkeypatch.setattr(install, "SYSTEM", tmp_path / "units")
    monkeypatch.setattr(install, "WRAPPER", tmp_path / "aisha-webhook")
    assert copying not in call("--into", str(tmp_path / "units")).output


def test_replicas_get_ports_of_their_own(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two replicas are two instances of the template, on the ports that nginx's file names."""
    del project
    monkeypatch.setenv("DATABASE_URL", POSTGRES)
    result = call("--into", str(tmp_path / "units"), "--replicas", "2")
    assert result.exit_code == 0
    assert "aisha-webhook-api@8444.service aisha-webhook-api@8445.service" in result.output
    assert (tmp_path / "units" / "aisha-webhook-api@.socket").exists()
    nginx = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "deploy/nginx").glob("*.conf"))
    assert set(re.findall(r"server (127\.0\.0\.1:\d+)", nginx)) == {"127.0.0.1:8444", "127.0.0.1:8445"}


@pytest.mark.parametrize("where", ["docs/install.md", "docs/install.ru.md", "docs/deploy-systemd.md"])
def test_what_env_says_beside_replicas_changes_no_unit(
    project: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """With what the pages put into .env the units are the same; typed commands speak to the first replica."""
    monkeypatch.setenv("DATABASE_URL", POSTGRES)
    before = call("--print", "--replicas", "2").output
    written = re.findall(r"`((?:API_HOST|API_PORT|SSL_ENABLED|FAL_WEBHOOK_URL)=[^`]*)`", page(where))
    wanted = ["API_HOST=127.0.0.1", f"API_PORT={PORT}", "SSL_ENABLED=false"]
    assert set(wanted) <= set(written)
    (project / ".env").write_text("\n".join((*wanted, *(line for line in written if "aibots.kz" in line))))
    assert call("--print", "--replicas", "2").output == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(["--replicas", "2"], (78, "PostgreSQL"), id="replicas on SQLite"),
        pytest.param(["--user", "root"], (2, "needs no root"), id="root"),
        pytest.param(["--user", "Аиша; reboot"], (2, "lower-case letters"), id="no account"),
        pytest.param(["API_HOST=localhost"], (78, "API_HOST=localhost"), id="a name"),
        pytest.param(["API_PORT=0"], (78, "API_PORT=0"), id="any port"),
        pytest.param(["LOG_DIR=my logs"], (78, "my logs"), id="a space"),
        pytest.param(["DATA_DIR=100%h"], (78, "100%h"), id="a specifier"),
    ],
)
def test_what_systemd_cannot_be_told_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], told: tuple[int, str]
) -> None:
    """A wish that makes no unit, by option or by setting, is refused with its name, and nothing is written."""
    for setting in (word for word in words if "=" in word):
        monkeypatch.setenv(*setting.split("="))
    code, sentence = told
    result = call("--into", str(project / "units"), *(word for word in words if "=" not in word))
    assert result.exit_code == code
    assert sentence in result.output
    assert not (project / "units").exists()


def test_no_permission_names_the_command_with_sudo(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may not write there reads what to run."""
    del project

    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(sys, "argv", ["aisha-webhook", "install", "systemd"])
    result = call("--into", str(tmp_path / "units"))
    assert result.exit_code == 1
    assert f"\n  sudo {sys.executable} -m app.cli install systemd\n" in result.output
