"""What becomes of a request that is not answered, in words that outlive the library that raised them."""

import ssl

import aiohttp

from app.domain.errors import AishaError

BROKEN = (aiohttp.ClientError, OSError)
UNTRUSTED = "CertificateError"


class HttpFailed(AishaError):
    """A request was not answered. `why` is a stable word; neither the URL nor a header is ever in it.

    Unless `has_left`, the request surely never left: ConnectError (refused, DNS, TLS) · CertificateError (not trusted,
    expired, another's) · ConnectTimeout · PoolTimeout · ProxyError (a proxy refused) · InvalidURL · private_address and
    no_address (PublicNames).
    Otherwise it may have been taken: ReadTimeout · ReadError (reset) · RemoteProtocolError (closed, junk).
    """

    def __init__(self, why: str, *, has_left: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.has_left = has_left

    @property
    def is_late(self) -> bool:
        """Whether time ran out."""
        return self.why.endswith("Timeout")

    @property
    def in_short(self) -> str:
        """One word for logs and findings: timeout · untrusted · unreachable."""
        return "timeout" if self.is_late else "untrusted" if self.why == UNTRUSTED else "unreachable"


class AddressRefused(HttpFailed):
    """A name has no address, or one that is no machine's on the internet. `why`: no_address · private_address."""


def failure_of(error: Exception) -> HttpFailed:
    """Name what was raised; the exception itself holds the URL, and its words are not used."""
    match error:
        case aiohttp.ClientHttpProxyError():
            return HttpFailed("ProxyError")
        case aiohttp.ConnectionTimeoutError():
            return HttpFailed("ConnectTimeout")
        case aiohttp.ClientConnectorCertificateError():
            return HttpFailed(UNTRUSTED)
        case aiohttp.ClientConnectorError():
            return HttpFailed("ConnectError")
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return HttpFailed("InvalidURL")
        case aiohttp.ServerTimeoutError() | TimeoutError():
            return HttpFailed("ReadTimeout", has_left=True)
        case OSError() if isinstance(error.__cause__, ssl.SSLCertVerificationError):  # behind a SOCKS proxy
            return HttpFailed(UNTRUSTED)
        case aiohttp.ClientPayloadError() if "ConnectionResetError" in str(error):  # it is told there only
            return HttpFailed("ReadError", has_left=True)
        case OSError():
            return HttpFailed("ReadError", has_left=True)
    return HttpFailed("RemoteProtocolError", has_left=True)
