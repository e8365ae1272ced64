"""Proxies and trust anchors: what is in force, what is refused, and that the HTTP clients then can be made."""

from itertools import product
from pathlib import Path

import pytest
import trustme

from app.core.outgoing import NAMES, in_force
from app.core.setting_loader import load_settings
from app.domain.errors import SettingsInvalid
from app.fal.client import make_client

pytestmark = pytest.mark.anyio

SECRET = "topsecret-value-7"
PROXY_WORDS = "не адрес прокси"
SCHEME_WORDS = "не поддержан"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder without .env, and none of the developer's proxies. What a test settles is forgotten with the rest."""
    monkeypatch.chdir(tmp_path)
    for name in (*NAMES, *map(str.lower, NAMES), "SSLKEYLOGFILE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def refused(**environ: str) -> tuple[str, ...]:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(environ=environ)
    return caught.value.findings


@pytest.mark.parametrize(
    "url",
    [
        "http://proxy:3128",
        "proxy.lan:3128",
        "HTTP://PROXY:1",
        "https://proxy",
        "socks5://127.0.0.1:1080",
        "socks5h://user:p%40ss@[::1]:1080",
        "http://user:p@ss@proxy:3128",
        "http://proxy:3128/",
        "  http://proxy:1\t",
        "http://прокси.kz:1",
        "",
    ],
)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
async def test_a_proxy_that_can_be_used_is(name: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP, HTTPS and SOCKS proxies are taken in every usual spelling, and the client can be made (fault 60)."""
    monkeypatch.setenv(name, url)
    load_settings()
    await make_client().aclose()


def test_a_proxy_that_cannot_be_used_is_refused() -> None:
    """One sentence with the variable's name and without its value, which may hold a password (faults 45, 60)."""
    for (url, wrong), name in product(
        [
            (f"socks4://u:{SECRET}@proxy:1080", SCHEME_WORDS),
            (f"ftp://{SECRET}@proxy", SCHEME_WORDS),
            (f"socks://{SECRET}@proxy:1", SCHEME_WORDS),
            (f"unix:///run/{SECRET}.sock", SCHEME_WORDS),
            ("://", SCHEME_WORDS),
            (f"http://u:{SECRET}@proxy:port", PROXY_WORDS),
            (f"http://u:{SECRET}@proxy:99999", PROXY_WORDS),
            (f"http://u:{SECRET}@proxy:0", PROXY_WORDS),
            (f"http://u:{SECRET}@[::1", PROXY_WORDS),
            (f"http://u:{SECRET}#1@proxy:1", PROXY_WORDS),
            (f"http://u:{SECRET}?x@proxy:1", PROXY_WORDS),
            (f"http://u:{SECRET} x@proxy:1", PROXY_WORDS),
            (f"'http://u:{SECRET}@proxy:1'", SCHEME_WORDS),
            (f'"{SECRET}:1"', PROXY_WORDS),
            ("http://", PROXY_WORDS),
            (":3128", PROXY_WORDS),
            (f"http://u:{SECRET}\n@proxy:1", PROXY_WORDS),
            (f"http://u:{SECRET}\udcff@proxy:1", PROXY_WORDS),
        ],
        ["HTTPS_PROXY", "http_proxy", "All_Proxy"],
    ):
        (line,) = refused(**{name: url})
        assert line.startswith(f"{name} (окружение): "), (url, wrong, name)
        assert wrong in line, (url, wrong, name)
        assert SECRET not in line, (url, wrong, name)


@pytest.mark.parametrize(
    "hosts", ["localhost,[::1]", "[::1", "10.0.0.0/8, *.lan,, a b", "*", "::1/128,[::1]:80", "h:99999"]
)
async def test_no_proxy_is_read_leniently(hosts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read in NO_PROXY is passed over, as curl does it (fault 60)."""
    monkeypatch.setenv("NO_PROXY", hosts)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    load_settings()
    await make_client().aclose()


def test_the_environment_wins_over_the_file_and_small_letters_over_capitals() -> None:
    """As with settings; an empty variable frees a run of what `.env` says."""
    Path(".env").write_text("HTTPS_PROXY=ftp://x\nNO_PROXY=a.kz\n", encoding="utf-8")
    (line,) = refused()
    assert line.startswith("HTTPS_PROXY (.env, строка 1): ")
    load_settings(environ={"HTTPS_PROXY": ""})
    load_settings(environ={"https_proxy": "http://h:1"})
    assert in_force({"HTTPS_PROXY": "b", "https_proxy": "a"}, {})["HTTPS_PROXY"].value == "a"


def test_what_the_file_says_is_put_into_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in `.env` serves the clients as one in the environment; values given to the loader change nothing."""
    Path(".env").write_text("HTTPS_PROXY=http://127.0.0.1:1\nno_proxy=a.kz\n", encoding="utf-8")
    environ: dict[str, str] = {}
    load_settings(environ=environ)
    assert environ == {}
    monkeypatch.setattr("app.core.setting_loader.environment", lambda: environ)
    load_settings()
    assert environ == {"HTTPS_PROXY": "http://127.0.0.1:1", "no_proxy": "a.kz"}


def test_a_misspelt_proxy_is_told() -> None:
    """A name one letter off is no other program's (fault 52)."""
    Path(".env").write_text("HTTPS_PROXI=http://h:1\n", encoding="utf-8")
    (line,) = refused()
    assert "HTTPS_PROXY" in line


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    path = tmp_path / "roots.pem"
    trustme.CA().cert_pem.write_to_path(path)
    return path


@pytest.fixture
def hashed(roots: Path) -> Path:
    folder = roots.parent / "hashed"
    folder.mkdir()
    (folder / "0a1b2c3d.0").write_bytes(roots.read_bytes())
    return folder


async def test_trust_anchors_that_can_be_read_are_used(
    roots: Path, hashed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of roots, a folder of hashed ones, several folders, an empty value."""
    for name, value in (
        ("SSL_CERT_FILE", str(roots)),
        ("SSL_CERT_FILE", ""),
        ("SSL_CERT_DIR", str(hashed)),
        ("SSL_CERT_DIR", f"/nonexistent:{hashed}"),
    ):
        with monkeypatch.context() as one:
            one.setenv(name, value)
            load_settings()
            await make_client().aclose()


@pytest.mark.parametrize(
    ("name", "value", "wrong"),
    [
        ("SSL_CERT_FILE", "missing.pem", "нельзя прочитать"),
        ("SSL_CERT_FILE", ".", "нельзя прочитать"),
        ("SSL_CERT_FILE", "/dev/null", "нет сертификатов"),
        ("SSL_CERT_FILE", "junk.pem", "нет сертификатов"),
        ("SSL_CERT_FILE", "half.pem", "нет сертификатов"),
        ("SSL_CERT_FILE", "roots.pem/x", "нельзя прочитать"),
        ("SSL_CERT_FILE", "a\0b", "нельзя прочитать"),
        ("SSL_CERT_DIR", "/nonexistent", "нет корневых"),
        ("SSL_CERT_DIR", ".", "нет корневых"),
        ("SSL_CERT_DIR", "roots.pem", "нет корневых"),
        ("SSL_CERT_DIR", ":", "нет корневых"),
    ],
)
def test_trust_anchors_that_cannot_be_used_are_refused(roots: Path, name: str, value: str, wrong: str) -> None:
    """A missing, empty or broken file, a folder without roots: one sentence that names the variable (fault 60)."""
    Path("junk.pem").write_bytes(b"\x00junk")
    Path("half.pem").write_bytes(roots.read_bytes()[:200])
    (line,) = refused(**{name: value})
    assert line.startswith(f"{name} (окружение): ")
    assert wrong in line


async def test_a_key_log_is_not_followed(monkeypatch: pytest.MonkeyPatch, roots: Path, tmp_path: Path) -> None:
    """SSLKEYLOGFILE would hold the keys of every connection, and one that cannot be written would end the start."""
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "nowhere" / "keys"))
    assert any("SSLKEYLOGFILE" in warning for warning in load_settings().warnings())
    await make_client().aclose()
