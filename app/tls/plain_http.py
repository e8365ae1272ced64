"""What a client hears that speaks plain HTTP to the port of HTTPS: one sentence instead of an empty answer."""

import ssl
from collections.abc import Callable

SENTENCE = b"This port speaks HTTPS: write https:// in place of http://.\n"
ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
    % (len(SENTENCE), SENTENCE)
)


class ServerHandshake(ssl.SSLObject):
    """A server's side of a handshake, which answers plain HTTP by ANSWER; what else the client sends is dropped.

    OpenSSL itself finds out: it knows GET, HEAD, POST and PUT where a record should begin. It goes on until the client
    closes or the time of a handshake is over: to cut it with bytes unread would take the answer along.
    """

    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO
    tell: Callable[[], None]
    is_plain = False

    def do_handshake(self) -> None:
        """Go on with the handshake; raises ssl.SSLError as OpenSSL does, and SSLWantReadError after ANSWER."""
        if not self.is_plain:
            try:
                return super().do_handshake()
            except ssl.SSLError as error:
                if error.reason != "HTTP_REQUEST":
                    raise
            self.is_plain = True
            self.outgoing.write(ANSWER)
            self.tell()
        self.incoming.read()
        raise ssl.SSLWantReadError


class ServerContext(ssl.SSLContext):
    """A context whose handshakes answer plain HTTP; `on_plain_http` is called for each that did."""

    sslobject_class = ServerHandshake
    on_plain_http: Callable[[], None] = staticmethod(lambda: None)

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Make a handshake that knows what it reads and writes."""
        made = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        assert isinstance(made, ServerHandshake)
        made.incoming, made.outgoing, made.tell = incoming, outgoing, self.on_plain_http
        return made
