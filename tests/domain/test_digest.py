"""The operator's daily digest as a value."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.digest import Digest, FailedTraining, median, read_digest, spell_digest

WAITS = st.none() | st.integers(0, 10**7).map(lambda seconds: timedelta(seconds=seconds))
FAILED = st.builds(FailedTraining, st.text(), st.none() | st.integers(-(2**52), 2**52), st.text())


@given(st.builds(Digest, st.integers(0), st.integers(0), WAITS, WAITS, st.lists(FAILED, max_size=20).map(tuple)))
def test_a_digest_is_read_back_as_it_was(digest: Digest) -> None:
    """What stands in the row until it is told loses nothing."""
    assert read_digest(spell_digest(digest)) == digest


@pytest.mark.parametrize("spelt", ["", "{}", "[]", "[1]", "[1, 2, 3, 4, [[1]]]", "null", "[1, 2, null, null, 5]"])
def test_what_is_no_digest_is_refused(spelt: str) -> None:
    """A row that somebody changed by hand is no digest, and no other error."""
    with pytest.raises(ValueError, match=r".+"):
        read_digest(spelt)


def test_the_median_of_an_even_number_is_one_that_was_waited() -> None:
    """Of two middle waits the longer one is told: nobody waited for their mean."""
    assert median([timedelta(1), timedelta(2)]) == timedelta(2)
