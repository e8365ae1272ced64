"""Whoever types what the pages say gets what they say: every block, in order, on clean copies of the project.

The Russian pages have the same blocks (tests/docs holds them together), so they are run once; what differs is the
console's language, and that start is run in both.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from tests.docs.cast import strayed
from tests.docs.project import ROOT
from tests.factories import BOT_TABLES
from tests.postgres import with_database
from tests.readme.blocks import IN_ENGLISH, blocks
from tests.readme.journey import MARKS, NOT_RUN, Journey, Step

PAGES = ("README.md", "docs/install.md", "docs/operate.md")  # in the order in which a newcomer goes through them
ALL = [block for page in PAGES for block in blocks(page)]
BLOCKS = [block for block in ALL if block.mark != NOT_RUN]
VERDICTS = ("aisha-webhook doctor", "fix_ssl_certificate.sh")  # exit 1 is their word, not an accident
EXACT = {"service", "request_id", "test", "status", "signature", "address", "ip_filter", "tls"}


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory, postgres: str) -> Journey:
    """A clean copy, and a PostgreSQL of the bot's to move to."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE readme")
    url = with_database(postgres, "readme")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(BOT_TABLES)
    return Journey(tmp_path_factory.mktemp("readme"), url)


@pytest.fixture(scope="module")
def steps(journey: Journey) -> list[Step]:
    """What became of each block."""
    return journey.play(BLOCKS)


def test_every_mark_is_known() -> None:
    """A slip in a comment would have a block run without what it needs."""
    assert {block.mark for block in ALL} <= MARKS


def title(number: int) -> str:
    return f"{number} {BLOCKS[number].text.splitlines()[0][:60]}"


@pytest.mark.parametrize("number", range(len(BLOCKS)), ids=title)
def test_every_block_runs(steps: list[Step], number: int) -> None:
    """No command fails, is unknown, or leaves a traceback."""
    step = steps[number]
    allowed = {0, 1} if any(word in step.block.text for word in VERDICTS) else {0}
    assert step.code in allowed, step.output
    assert "Traceback" not in step.output


@pytest.mark.parametrize(
    "number",
    [number for number, block in enumerate(BLOCKS) if block.answers],
    ids=title,
)
def test_every_answer_is_of_the_shape_shown(steps: list[Step], number: int) -> None:
    """What the pages show has the fields, types and fixed words of what the server answered."""
    got = [json.loads(line) for line in re.findall(r"\{.*?\}(?=\{\"|\n|$)", steps[number].output)]
    shown = [json.loads(line) for line in steps[number].block.answers]
    assert len(got) == len(shown), steps[number].output
    for one, other in zip(shown, got, strict=True):
        assert_same_shape(one, other)


def assert_same_shape(shown: Any, got: Any) -> None:
    if isinstance(shown, dict):
        assert list(shown) == list(got)
        for name, value in shown.items():
            assert name not in EXACT or value == got[name], name
            assert_same_shape(value, got[name])
    else:
        assert shown is None or got is None or type(shown) is type(got)


def test_the_start_says_what_fal_needs_in_both_languages(steps: list[Step], journey: Journey) -> None:
    """The webhook's URL and what is left to do, in English and, typed as README.ru.md says, in Russian."""
    assert steps
    address = f"https://aibots.kz:{journey.port}/api/v1/avatar/status_update"
    assert f"the URL for fal and the bot: {address}" in journey.greetings[0]
    [typed] = [block.text for block in blocks("README.ru.md") if "make run" in block.text]
    [here] = [block.text for block in BLOCKS if "make run" in block.text]
    assert typed == here.replace(IN_ENGLISH, "")
    assert f"адрес для fal и бота: {address}" in journey.greetings[1]  # the installed server, with the default language


def test_the_cast_is_what_the_demo_prints(steps: list[Step]) -> None:
    """Each line of the README's cast stands in what `make demo` printed, in this order."""
    [demo] = [step for step in steps if "make demo" in step.block.text]
    assert strayed("README.md", demo.output) == []


def test_the_url_for_fal_is_encoded_as_it_should_be(steps: list[Step], journey: Journey) -> None:
    """What goes to fal names the webhook's address, and the query of its own."""
    assert steps
    address = "https://aibots.kz:8443/api/v1/avatar/status_update?training_type=portrait"
    assert f"?fal_webhook={quote(address, safe='')}" in journey.calls.read_text()


def test_the_key_for_fal_is_the_one_in_the_settings(steps: list[Step], journey: Journey) -> None:
    """The submission carries the key that stands in .env, without anything being exported before."""
    assert steps
    assert "-H Authorization: Key a:b -H" in journey.calls.read_text()


def test_install_prints_what_the_page_says(steps: list[Step], journey: Journey) -> None:
    """Account, folders and units, of one process and of two: the lines are those that the command prints."""
    found = [step for step in steps if "useradd" in step.block.text]
    assert ["--replicas 2" in step.block.text for step in found] == [False, True]
    for step in found:
        printed = {line.strip() for line in step.output.splitlines()}
        lines = step.block.text.replace("/opt/aisha-backend", str(journey.shell.folder)).splitlines()[1:]
        assert {line for line in lines if "migrate" not in line and "nginx" not in line} <= printed, step.output


def test_nothing_is_lost_on_the_way_to_postgresql(steps: list[Step], journey: Journey) -> None:
    """The delivery that was received on SQLite lies in the new database afterwards."""
    assert steps
    with psycopg.connect(journey.postgres_url) as connection:
        rows = connection.execute("SELECT request_id, body FROM webhook_deliveries").fetchall()
    assert ("REQUEST_ID", b'{"request_id":"') in [(name, bytes(body)[:15]) for name, body in rows]


VERBS = {
    "apt": {"update", "install"},
    "systemctl": {"daemon-reload", "enable", "disable", "start", "stop", "restart", "reload", "status", "is-active"},
    "ufw": {"allow", "status"},
    "docker": {"build", "compose"},
}


def test_what_only_root_may_do_are_real_commands(steps: list[Step], journey: Journey) -> None:
    """Each call of a stand-in names a verb that the real program has, and asks that program where it is installed."""
    assert steps
    for call in journey.calls.read_text().splitlines():
        program, *words = call.split()
        if program in VERBS:
            assert words[0] in VERBS[program], call
            if program == "systemctl" and shutil.which("systemctl"):
                assert words[0] in said("systemctl", "--help"), call
        if program == "certbot" and shutil.which("certbot"):
            options = {word for word in words if word.startswith("--") and "dns-cloudflare" not in word}
            assert [option for option in options if option not in said("certbot", "--help", "all")] == []


def said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


def test_the_files_that_are_named_exist() -> None:
    """Dockerfile and compose file lie where the commands look for them."""
    for block in BLOCKS:
        for path in re.findall(r" -f (deploy/\S+)", block.text):
            assert (ROOT / path).is_file(), path


def test_make_targets_that_are_not_run_here_exist() -> None:
    """`make test` would run this very test; that it is there is all that is asked."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    skipped = [block for block in ALL if block.mark == NOT_RUN]
    assert skipped
    assert {target for block in skipped for target in re.findall(r"make (\S+)", block.text)} <= targets


def test_no_stand_in_was_needed_for_what_is_ours(steps: list[Step], journey: Journey) -> None:
    """Units, certbot's hook and the certificate that it hands over were really written."""
    assert steps
    machine = Path(journey.environment["STANDIN_ROOT"])
    assert (machine / "etc/letsencrypt/renewal-hooks/deploy/aisha-webhook.sh").is_file()
    live = machine / "etc/letsencrypt/live/aibots.kz/fullchain.pem"
    assert (journey.shell.folder / "ssl/aibots_kz.crt").read_text() == live.read_text()
