"""What the port serves, compared with what the files hold."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest

from app.doctor.finding import Level
from app.doctor.tls.served import examine_served
from app.tls.chain import put_together
from app.tls.pair_files import read_content
from app.tls.served import ServedPair
from tests.authorities import DOMAIN, Lineage


@pytest.fixture(name="lineage")
def _lineage(tmp_path: Path) -> Lineage:
    return Lineage(tmp_path)


@contextmanager
def listening(context: ssl.SSLContext | None) -> Iterator[tuple[str, int]]:
    """One connection is accepted: with TLS, or answered with plain HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=_serve, args=(server, context), daemon=True)
        thread.start()
        yield server.getsockname()
        thread.join()


def _serve(server: socket.socket, context: ssl.SSLContext | None) -> None:
    connection, _ = server.accept()
    with connection:
        if context is None:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.recv(4096)
            return
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as shaken:
            shaken.recv(1)


def serving(lineage: Lineage, *chain: bytes) -> ssl.SSLContext:
    """A server that sends exactly these certificates."""
    file = lineage.paths.cert.with_name("served.pem")
    file.write_bytes(b"".join(chain) + lineage.leaf.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def expected(lineage: Lineage) -> ServedPair:
    return put_together(read_content(lineage.paths, "ru"), lineage.paths, "ru")


def test_the_chain_of_the_files_is_recognised(lineage: Lineage) -> None:
    """A port that serves what the files hold is fine, and the TLS version is told."""
    with listening(serving(lineage, lineage.leaf.pem, lineage.middle.pem)) as address:
        (finding,) = examine_served(address, DOMAIN, expected(lineage), "en")
    assert (finding.code, finding.level) == ("served.ok", Level.OK)
    assert "TLSv1.3" in finding.text


def test_a_chain_cut_short_on_the_way_is_told(lineage: Lineage) -> None:
    """A front server that sends the leaf alone is found out though the files are in order (fault 39)."""
    with listening(serving(lineage, lineage.leaf.pem)) as address:
        (finding,) = examine_served(address, DOMAIN, expected(lineage), "en")
    assert (finding.code, finding.level) == ("served.other_chain", Level.FAIL)
    assert "ssl_certificate" in finding.remedy


def test_another_certificate_is_told(lineage: Lineage) -> None:
    """A port that serves another certificate than the files is told, with the command that shows whose port it is."""
    context = serving(lineage, lineage.leaf.pem, lineage.middle.pem)
    lineage.give()
    with listening(context) as address:
        (finding,) = examine_served(address, DOMAIN, expected(lineage), "en")
    assert (finding.code, finding.level) == ("served.other_certificate", Level.FAIL)
    assert finding.command == f"sudo ss -ltnp 'sport = :{address[1]}'"


def test_with_no_pair_to_compare_the_served_one_is_named(lineage: Lineage) -> None:
    """Where the files cannot be read, what is served is at least named."""
    with listening(serving(lineage, lineage.leaf.pem)) as address:
        (finding,) = examine_served(address, "127.0.0.1", None, "en")
    assert finding.code == "served.seen"
    assert f"CN={DOMAIN}" in finding.text


def test_a_port_that_speaks_no_tls_is_told(lineage: Lineage) -> None:
    """Plain HTTP on the port is told as such."""
    with listening(None) as address:
        (finding,) = examine_served(address, DOMAIN, expected(lineage), "en")
    assert (finding.code, finding.level) == ("served.no_tls", Level.FAIL)


def test_a_closed_port_names_the_command_that_starts_the_server() -> None:
    """Nobody listens: the server is to be started, and how is said."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    (finding,) = examine_served(address, DOMAIN, None, "en")
    assert (finding.code, finding.level) == ("served.refused", Level.FAIL)
    assert "make run" in finding.command


def test_a_port_that_keeps_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that accepts and says nothing does not hold the doctor up."""
    monkeypatch.setattr("app.doctor.tls.served.CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        (finding,) = examine_served(server.getsockname(), DOMAIN, None, "en")
    assert (finding.code, finding.level) == ("served.unreachable", Level.FAIL)
