"""Our key is not kept, in whatever spelling fal repeats it."""

import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fal.scrub import Scrub, without_any_key

KEY = "0f8fad5b-d9cb:a+b/C.d9-secret~part"
SECRET = KEY.partition(":")[2]


def clean(text: bytes) -> bytes:
    return Scrub(KEY)(text)


@pytest.mark.parametrize("held", [KEY, SECRET])
def test_the_key_goes_whole_or_without_its_id(held: str) -> None:
    """The id alone is no secret; the secret alone is."""
    assert json.loads(clean(json.dumps({"detail": f"no: Key {held}."}).encode())) == {"detail": "no: Key [key]."}


def test_the_key_goes_percent_encoded() -> None:
    """An echoed URL spells the key so, in either case."""
    some = quote(KEY, safe="")
    for spelled in (some, some.replace("%3A", "%3a").replace("%2F", "%2f"), "".join(f"%{ord(c):02X}" for c in KEY)):
        assert clean(f'{{"detail": "/x?key={spelled}"}}'.encode()) == b'{"detail": "/x?key=[key]"}'


@given(st.lists(st.sampled_from(["plain", "lower", "upper", "slash"]), min_size=len(KEY), max_size=len(KEY)))
def test_the_key_goes_however_json_spells_it(ways: list[str]) -> None:
    """JSON may escape any character, and a parser would put the key together again."""

    def spell(character: str, way: str) -> str:
        code = f"{ord(character):04x}"
        return {
            "plain": character,
            "lower": f"\\u{code}",
            "upper": f"\\u{code.upper()}",
            "slash": "\\/" if character == "/" else character,
        }[way]

    spelled = "".join(spell(character, way) for character, way in zip(KEY, ways, strict=True))
    text = f'{{"detail": "{spelled}"}}'
    assert json.loads(text) == {"detail": KEY}
    assert json.loads(clean(text.encode())) == {"detail": "[key]"}


@given(st.binary())
def test_other_bytes_stay(text: bytes) -> None:
    """What holds no key is handed on as it came."""
    assert clean(text) == text


@pytest.mark.parametrize("key", ["", "k", "id:sho", "seven77"])
def test_what_is_too_short_is_no_key(key: str) -> None:
    """A placeholder of a few letters is not torn out of fal's words."""
    text = f'{{"detail": "Key {key} is not known"}}'.encode()
    assert Scrub(key)(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("invalid Key abc-1:def2, sorry", "invalid Key [key], sorry"),
        ("key  abc:def", "Key [key]"),
        ("Key abc is missing", "Key abc is missing"),
        ("Key: images", "Key: images"),
        ("monkey a:b", "monkey a:b"),
        ("", ""),
    ],
)
def test_anybody_s_key_goes_from_sentences(text: str, expected: str) -> None:
    """A sentence that is kept holds no `Key id:secret`, be it ours or another's."""
    assert without_any_key(text) == expected


OTHERS = ("123456:AAF-a-telegram-token/of-some-length", "database p@ssword", "postgres")


@pytest.mark.parametrize("secret", [KEY, SECRET, *OTHERS[:2]])
@pytest.mark.parametrize(
    "spell",
    [str, lambda text: quote(text, safe=""), lambda text: text.replace("/", "\\/")],
    ids=["plain", "percent", "slashes"],
)
def test_every_secret_of_ours_goes_from_a_body(secret: str, spell: Callable[[str], str]) -> None:
    """Whoever echoes it: a webhook's own payload goes the same way as an answer that was asked for (fault 63)."""
    body = f'{{"detail": "header {spell(secret)} refused"}}'.encode()
    assert json.loads(Scrub(KEY, OTHERS)(body)) == {"detail": "header [key] refused"}


def test_a_body_without_secrets_is_the_same_object() -> None:
    """And a password that is an ordinary word takes no word out of it: fal never gets it."""
    scrub = Scrub(KEY, OTHERS)
    for body in (b'{"url": "https://v3.fal.media/files/postgres.tar"}', b'{"a": "%20"}'):
        assert scrub(body) == body
    plain = b'{"url": "https://v3.fal.media/files/postgres.tar"}'
    assert scrub(plain) is plain
    assert Scrub(None)(plain) is plain
