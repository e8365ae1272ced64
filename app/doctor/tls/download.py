"""One bounded GET of a certificate; plain http is enough, for the signature of the certificate is checked."""

import urllib.error
import urllib.request
from http.client import HTTPException, HTTPMessage
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO
from urllib.parse import urlsplit

from app.doctor.tls.aia import LARGEST_ANSWER, NotFetched

SCHEMES = ("http", "https")
SOCKET_SECONDS = 5.0  # for connecting and for each read
DEADLINE_SECONDS = 15.0  # for everything together
MOST_REDIRECTS = 2


class FewRedirects(urllib.request.HTTPRedirectHandler):
    """Follows two redirects, never to a scheme other than http and https."""

    max_redirections = MOST_REDIRECTS

    def redirect_request(  # noqa: PLR0917  the signature is urllib's
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """Follow a redirect to http or https; any other is returned as its status."""
        if not _is_http(newurl):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(url: str, deadline_seconds: float = DEADLINE_SECONDS) -> bytes:
    """GET `url`, at most 64 KiB; raises NotFetched, whose `why` names neither address nor answer.

    why: scheme · unreachable · status_NNN · timeout · too_large. Proxies of the environment count.
    """
    if not _is_http(url):
        raise NotFetched("scheme")
    answers: SimpleQueue[bytes | NotFetched] = SimpleQueue()
    # A slow name server, or an answer byte by byte, exceeds the timeouts of the socket; the thread is then abandoned.
    Thread(target=lambda: answers.put(_answer_of(url)), daemon=True).start()
    try:
        answer = answers.get(timeout=deadline_seconds)
    except Empty:
        raise NotFetched("timeout") from None
    if isinstance(answer, NotFetched):
        raise answer
    return answer


def _answer_of(url: str) -> bytes | NotFetched:
    opener = urllib.request.build_opener(FewRedirects())
    opener.addheaders = [("User-Agent", "aisha-webhook")]
    try:
        with opener.open(url, timeout=SOCKET_SECONDS) as answer:
            body: bytes = answer.read(LARGEST_ANSWER + 1)
    except urllib.error.HTTPError as error:
        error.close()
        return NotFetched(f"status_{error.code}")
    except TimeoutError:
        return NotFetched("timeout")
    except (OSError, HTTPException, ValueError):
        return NotFetched("unreachable")
    return body if len(body) <= LARGEST_ANSWER else NotFetched("too_large")


def _is_http(url: str) -> bool:
    try:
        return urlsplit(url).scheme in SCHEMES
    except ValueError:
        return False
