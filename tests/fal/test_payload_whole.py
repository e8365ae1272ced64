"""What is taken as it is reads as it would if it were looked through."""

from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import PayloadUnreadable
from app.fal import payload

_TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["detail", "input", "\0", "é", "\\u0000", "x" * 4001]),
)
_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(allow_nan=False), _TEXTS)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(_TEXTS, inner, max_size=5)),
    max_leaves=20,
)
_DEEP = st.integers(25, 40).map(lambda depth: [orjson.loads("[" * depth + "]" * depth)])


def looked_through(document: dict[str, Any]) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(payload, "_as_it_is", lambda _document: None)
        return payload.answer(document)


@settings(max_examples=50)
@given(st.dictionaries(_TEXTS, st.one_of(_VALUES, _DEEP), max_size=5))
def test_an_answer_that_needs_no_cut_is_the_same_without_the_look(document: dict[str, Any]) -> None:
    """Whatever a document holds: long texts, `detail`, U+0000, depth."""
    assert payload.answer(document) == looked_through(document)


@pytest.mark.parametrize(
    "document",
    [
        {"detail": [{"input": "typed"}]},
        {"payload": {"detail": {"input": "typed"}}},
        {"a": "\0"},
        {"a": "x" * 4001},
        {"a": list(range(1001))},
        {"a": orjson.loads("[" * 33 + "]" * 33)},
    ],
    ids=["input", "input below", "U+0000", "long text", "long list", "deep"],
)
def test_what_must_be_cut_is_looked_through(document: dict[str, Any]) -> None:
    """It is not kept as it came."""
    assert payload.answer(document) == looked_through(document) != orjson.dumps(document).decode()


@settings(max_examples=25)
@given(st.from_regex(payload._PLAIN_URL, fullmatch=True))
def test_a_plain_url_is_one_for_the_library_too(url: str) -> None:
    """What is taken at a glance names a host, and is printable."""
    assert urlsplit(url).hostname
    assert url.isprintable()
    assert " " not in url


@given(st.from_regex(payload._PLAIN_ID, fullmatch=True))
def test_a_plain_id_passes_the_closer_look(text: str) -> None:
    """It is printable, not blank and not too long."""
    assert payload._printable(text) == text
    assert len(text) <= payload.ID_LIMIT


@given(_VALUES, st.from_regex(rb"-?[0-9]{17,22}", fullmatch=True), st.sampled_from([b":", b": ", b":[", b":[1, "]))
def test_a_long_number_is_found_wherever_it_stands(value: object, digits: bytes, before: bytes) -> None:
    """It becomes its digits beyond 64 bits; a short look must not miss it."""
    end = b"]" if b"[" in before else b""
    body = b'{"v":%b,"a"%b%b%b}' % (orjson.dumps(value) if not _is_long(value) else b"0", before, digits, end)
    assert _parsed(body) == _parsed(b" " + body)  # what does not begin with a brace is looked at by its tokens


def _is_long(value: object) -> bool:
    return isinstance(value, int) and value == 2**63


def _parsed(body: bytes) -> object:
    try:
        return payload.parse(body)
    except PayloadUnreadable as error:
        return error.code
