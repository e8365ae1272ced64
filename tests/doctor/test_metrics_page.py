"""Whether the doctor sees that strangers may read /metrics."""

import pytest

from app.doctor.host.metrics_page import look_at_metrics

HERE = ("127.0.0.1", "::1")


@pytest.mark.parametrize(
    ("has_token", "passes_tls", "trusted", "found"),
    [
        (False, False, HERE, []),
        (False, True, HERE, ["metrics.open"]),
        (False, False, ("192.0.2.1",), ["metrics.open"]),
        (False, False, ("127.0.0.0/8",), []),
        (True, True, ("192.0.2.1",), []),
    ],
)
def test_where_everybody_is_loopback_a_token_is_wanted(
    has_token: bool, passes_tls: bool, trusted: tuple[str, ...], found: list[str]
) -> None:
    """TLS passed on unread, or loopback that is not trusted to say who calls, needs METRICS_TOKEN."""
    findings = look_at_metrics(has_token=has_token, passes_tls=passes_tls, trusted=trusted, language="en")
    assert [one.code for one in findings] == found
