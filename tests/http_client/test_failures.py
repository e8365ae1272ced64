"""What aiohttp and aiohttp-socks raise, in our words."""

import ssl
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from app.http_client.failures import BROKEN, HttpFailed, failure_of

CANARY = URL("http://host/CANARY")
KEY = ConnectionKey("host", 443, True, True, None, None, None)
INFO = aiohttp.RequestInfo(CANARY, "GET", CIMultiDictProxy(CIMultiDict()), CANARY)


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "why", "has_left"),
    [
        (aiohttp.ClientConnectorError(KEY, OSError(111, "refused")), "ConnectError", False),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "no name")), "ConnectError", False),
        (aiohttp.ClientConnectorCertificateError(KEY, ValueError("CANARY")), "CertificateError", False),
        (aiohttp.ClientProxyConnectionError(KEY, OSError(111, "refused")), "ConnectError", False),
        (caused(aiohttp.ClientOSError(1, "x"), ssl.SSLCertVerificationError(1, "x")), "CertificateError", False),
        (aiohttp.ConnectionTimeoutError("CANARY"), "ConnectTimeout", False),
        (aiohttp.ClientHttpProxyError(INFO, (), status=407), "ProxyError", False),
        (aiohttp.InvalidURL(CANARY), "InvalidURL", False),
        (aiohttp.NonHttpUrlClientError(CANARY), "InvalidURL", False),
        (aiohttp.SocketTimeoutError("CANARY"), "ReadTimeout", True),
        (TimeoutError(), "ReadTimeout", True),
        (aiohttp.ClientOSError(104, "reset"), "ReadError", True),
        (ConnectionResetError("CANARY"), "ReadError", True),
        (aiohttp.ClientPayloadError("not completed: … ConnectionResetError(104, …)"), "ReadError", True),
        (aiohttp.ClientPayloadError("not completed"), "RemoteProtocolError", True),
        (aiohttp.ServerDisconnectedError("CANARY"), "RemoteProtocolError", True),
        (aiohttp.ClientResponseError(INFO, (), status=400), "RemoteProtocolError", True),
        (aiohttp.ClientConnectionError("CANARY"), "RemoteProtocolError", True),
        (aiohttp.ClientError("CANARY"), "RemoteProtocolError", True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_only_what_surely_never_left_is_said_not_to_have(error: Any, why: str, *, has_left: bool) -> None:
    """Fault 42: whoever doubts says that the request left; the URL is in no word."""
    failed = failure_of(error)
    assert isinstance(error, BROKEN)
    assert (failed.why, failed.has_left) == (why, has_left)
    assert "CANARY" not in repr(failed)
    assert isinstance(failed, HttpFailed)
