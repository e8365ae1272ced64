"""nginx's configuration: reading it, and what it does with the webhook."""

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.doctor.finding import Finding, Level
from app.doctor.host.commands import Answer, Run
from app.doctor.host.nginx import Front, Site, look_at_nginx, said_of_nginx, unreadable_certificate
from app.doctor.host.nginx_files import configuration
from app.doctor.host.nginx_syntax import Directive, read

SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx"
PATH = "/api/v1/avatar/status_update"
SITE = Site("aibots.kz", 8443, PATH, 1 << 20, 443)
GOOD = f"location = {PATH} {{ proxy_pass https://127.0.0.1:8443; }}"
GOOD_PATH = f"location = {PATH} {{ proxy_pass http://127.0.0.1:1; }}"
SERVER = """
http {{
    {http}
    server {{ listen 80; server_name aibots.kz; return 301 https://$host$request_uri; }}
    server {{
        listen 443 ssl http2; listen [::]:443 ssl; server_name www.aibots.kz aibots.kz;
        ssl_certificate /etc/letsencrypt/live/aibots.kz/fullchain.pem;
        ssl_certificate_key "/etc/letsencrypt/live/aibots.kz/privkey.pem";
        {server}
    }}
}}
"""


def look(server: str, http: str = "", site: Site = SITE) -> list[str]:
    found, _ = look_at_nginx(read(SERVER.format(server=server, http=http)), site, "en")
    return [one.code for one in found]


@pytest.mark.parametrize(
    ("server", "codes"),
    [
        (GOOD, ["nginx.ok"]),
        ("location / { proxy_pass https://127.0.0.1:8443; }", ["nginx.ok"]),
        (f"location / {{ return 301 /x; }} {GOOD}", ["nginx.ok"]),
        ("location ~ ^/api/ { proxy_pass https://127.0.0.1:8443; } location / { return 404; }", ["nginx.ok"]),
        (f"return 301 https://www.aibots.kz$request_uri; {GOOD}", ["nginx.redirects"]),
        (f"rewrite ^(.*)/$ $1 permanent; {GOOD}", ["nginx.redirects"]),
        (f"location = {PATH} {{ return https://elsewhere.kz; }}", ["nginx.redirects"]),
        ("location / { rewrite ^ https://elsewhere.kz$uri; }", ["nginx.redirects"]),
        (f"location {PATH}/ {{ proxy_pass https://127.0.0.1:8443; }}", ["nginx.redirects"]),
        (f"location {PATH}/ {{ proxy_pass https://127.0.0.1:8443; }} {GOOD}", ["nginx.ok"]),
        ("location / { root /var/www; }", ["nginx.not_passed_on"]),
        ("", ["nginx.not_passed_on"]),
        (f"client_max_body_size 512k; {GOOD}", ["nginx.body_too_small"]),
        (f"client_max_body_size 0; {GOOD}", ["nginx.ok"]),
        (f"client_max_body_size 8m; {GOOD}", ["nginx.ok"]),
    ],
)
def test_what_nginx_does_with_the_webhook_is_read(server: str, codes: list[str]) -> None:
    """Redirects, a request passed on to nobody, and a body limit below ours are found in the right location."""
    assert look(server) == codes


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        ("aibots.kz", True),
        ("*.aibots.kz", False),
        (".aibots.kz", True),
        ("~^(www\\.)?aibots\\.kz$", True),
        ("~*(", False),
        ("_", False),
    ],
)
def test_the_server_is_found_by_its_name(name: str, is_ours: bool) -> None:
    """Names are matched as nginx does: exactly, by wildcard, by regular expression."""
    _, front = look_at_nginx(read(f'server {{ listen 443 ssl; server_name "{name}"; {GOOD_PATH} }}'), SITE, "en")
    assert (front is not None) == is_ours


@pytest.mark.parametrize(
    ("locations", "is_well"),
    [
        (f"location ^~ {PATH} {{ proxy_pass http://x; }} location ~ status {{ return 404; }}", True),
        ("location ^~ /api/ { return 301 /x; } location ~ status { proxy_pass http://x; }", False),
        ("location ~* STATUS_UPDATE$ { proxy_pass http://x; } location / { return 301 /x; }", True),
        ("location ~ ( { return 301 /x; } location / { proxy_pass http://x; }", True),
        (f"rewrite ^{PATH}$ /other; location / {{ proxy_pass http://x; }}", True),
    ],
)
def test_the_location_is_chosen_as_nginx_does(locations: str, is_well: bool) -> None:
    """`^~` stops the search, a regular expression beats a plain prefix, and a broken one matches nothing."""
    assert (look(locations) == ["nginx.ok"]) == is_well


def test_the_limit_of_the_innermost_block_counts() -> None:
    """A limit of http is overruled by the location's."""
    inner = f"location = {PATH} {{ client_max_body_size 2m; proxy_pass https://127.0.0.1:8443; }}"
    assert look(inner, "client_max_body_size 1k;") == ["nginx.ok"]
    assert look(GOOD, "client_max_body_size 1k;") == ["nginx.body_too_small"]


def test_nginx_s_own_default_limit_counts() -> None:
    """Without a directive nginx takes 1 MiB, which is less than a larger MAX_BODY_BYTES."""
    assert look(GOOD, site=Site("aibots.kz", 8443, PATH, 2 << 20, 443)) == ["nginx.body_too_small"]


def test_a_site_of_the_same_name_on_another_port_has_no_part() -> None:
    """Where fal calls 8443 directly, whatever nginx does on 443 is not our concern."""
    assert look("location / { root /var/www; }", site=Site("aibots.kz", 8443, PATH, 1 << 20, 8443)) == [
        "nginx.elsewhere"
    ]


def test_the_front_names_its_ports_and_its_pair() -> None:
    """Who stands before us is known by its TLS ports and by its certificate."""
    _, front = look_at_nginx(read(SERVER.format(server=GOOD, http="")), SITE, "en")
    live = Path("/etc/letsencrypt/live/aibots.kz")
    assert front == Front((443,), (("127.0.0.1", 443),), live / "fullchain.pem", live / "privkey.pem")


def test_servers_in_files_of_their_own_are_seen(tmp_path: Path) -> None:
    """Without the right to run nginx -T the files are read, conf.d among them."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "nginx.conf").write_text("http { include conf.d/*.conf; }")
    (tmp_path / "conf.d" / "aisha.conf").write_text(f"server {{ listen 443 ssl; server_name aibots.kz; {GOOD} }}")
    root = configuration(run=lambda _: Answer(1, "[emerg] permission denied"), folder=tmp_path)
    assert [one.code for one in look_at_nginx(root, SITE, "en")[0]] == ["nginx.ok"]


def test_included_snippets_are_put_in_their_places(tmp_path: Path) -> None:
    """What a location includes counts as its own, from the files and from the printout of nginx -T alike."""
    main = "http { include sites/*; }"
    site = f"server {{ listen 443 ssl; server_name aibots.kz; location = {PATH} {{ include snippets/proxy.conf; }} }}"
    proxy = "proxy_pass https://127.0.0.1:8443;"
    for name, content in {"nginx.conf": main, "sites/aisha": site, "snippets/proxy.conf": proxy}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    printout = "".join(
        f"# configuration file {tmp_path}/{name}:\n{content}\n"
        for name, content in {"nginx.conf": main, "sites/aisha": site, "snippets/proxy.conf": proxy}.items()
    )
    runs: list[Run] = [lambda _: None, lambda _: Answer(0, printout)]
    for run in runs:
        root = configuration(run=run, folder=tmp_path)
        assert [one.code for one in look_at_nginx(root, SITE, "en")[0]] == ["nginx.ok"]


def test_a_file_that_includes_itself_ends(tmp_path: Path) -> None:
    """An endless include is cut off."""
    (tmp_path / "nginx.conf").write_text("http { } include nginx.conf;")
    root = configuration(run=lambda _: None, folder=tmp_path)
    assert [one.code for one in look_at_nginx(root, SITE, "en")[0]] == ["nginx.elsewhere"]


@pytest.mark.parametrize(("port", "public_port"), [(8444, 443), (8445, 8443)])
def test_the_configuration_that_we_ship_is_well(tmp_path: Path, port: int, public_port: int) -> None:
    """deploy/nginx, installed as it says, passes the webhook on from both ports to both replicas."""
    (tmp_path / "snippets").mkdir()
    for path in SHIPPED.glob("*.conf"):
        (tmp_path / "snippets" / path.name).write_text(path.read_text().replace("/etc/nginx", str(tmp_path)))
    (tmp_path / "nginx.conf").write_text("http { include snippets/aisha-webhook.conf; }")
    root = configuration(run=lambda _: None, folder=tmp_path)
    found, front = look_at_nginx(root, Site("aibots.kz", port, PATH, 1 << 20, public_port), "en")
    assert [one.code for one in found] == ["nginx.ok"]
    assert front is not None
    assert front.ports == (443, 8443)


def test_tls_that_is_handed_on_unread_makes_a_front(tmp_path: Path) -> None:
    """A stream to our port stands before us on its own ports, with our certificate."""
    (tmp_path / "nginx.conf").write_text((SHIPPED / "aisha-webhook-passthrough.conf").read_text())
    root = configuration(run=lambda _: None, folder=tmp_path)
    found, front = look_at_nginx(root, Site("aibots.kz", 8444, PATH, 1 << 20, 443), "en")
    assert [one.code for one in found] == ["nginx.passes_tls"]
    assert front == Front((443, 8443), (("127.0.0.1", 443), ("127.0.0.1", 8443)), passes_tls=True)


def test_nginx_itself_is_believed_first(tmp_path: Path) -> None:
    """What `nginx -T` prints is taken before any file."""
    root = configuration(run=lambda _: Answer(0, SERVER.format(server=GOOD, http="")), folder=tmp_path)
    assert [one.code for one in look_at_nginx(root, SITE, "en")[0]] == ["nginx.ok"]


def test_no_nginx_is_no_trouble(tmp_path: Path) -> None:
    """Where there is neither program nor folder, there is no nginx."""
    root = configuration(run=lambda _: None, folder=tmp_path / "none")
    assert [one.code for one in look_at_nginx(root, SITE, "en")[0]] == ["nginx.absent"]


def test_a_configuration_we_may_not_read_is_told(tmp_path: Path) -> None:
    """A folder without a readable file is unknown, not harmless."""
    root = configuration(run=lambda _: None, folder=tmp_path)
    assert [one.code for one in look_at_nginx(root, SITE, "en")[0]] == ["nginx.unreadable"]


def test_a_pair_we_may_not_read_is_told(tmp_path: Path) -> None:
    """nginx's key is root's; that it was not looked at is said."""
    front = Front((443,), (), tmp_path / "gone.pem", tmp_path / "gone.key")
    assert [one.code for one in unreadable_certificate(front, "en")] == ["nginx.certificate_unreadable"]


def test_the_remedies_run_from_any_folder(tmp_path: Path) -> None:
    """The commands to repeat as root name this very Python, wherever the project is installed."""
    [closed] = unreadable_certificate(Front((), (), tmp_path / "gone.pem", tmp_path / "gone.key"), "en")
    [unread], _ = look_at_nginx(Directive("", []), SITE, "en")
    assert closed.command == f"sudo {sys.executable} -m app.cli doctor tls"
    assert unread.command == f"sudo {sys.executable} -m app.cli doctor"


@pytest.mark.parametrize(
    ("listens", "addresses"),
    [
        (["443"], [("127.0.0.1", 443)]),
        (["*:443"], [("127.0.0.1", 443)]),
        (["0.0.0.0:443"], [("127.0.0.1", 443)]),
        (["[::]:8443", "8443"], [("127.0.0.1", 8443)]),
        (["[::]:8443"], [("::1", 8443)]),
        (["93.184.216.34:8443", "443"], [("127.0.0.1", 443), ("93.184.216.34", 8443)]),
        (["[2606:2800::1]:443"], [("2606:2800::1", 443)]),
        (["localhost"], [("localhost", 443)]),
        (["unix:/run/nginx.sock"], []),
    ],
)
def test_each_port_is_called_where_nginx_listens(listens: list[str], addresses: list[tuple[str, int]]) -> None:
    """Every address is reached on loopback, a single one by itself, and each port is called once."""
    lines = "".join(f"listen {listen} ssl; " for listen in ["444", *listens])
    _, front = look_at_nginx(read(f"server {{ {lines} server_name aibots.kz; {GOOD} }}"), SITE, "en")
    assert front is not None
    assert [address for address in front.addresses if address[1] != 444] == addresses


def test_a_port_behind_proxy_protocol_is_not_called() -> None:
    """Where nginx waits for a balancer's header, a handshake of ours would fail without telling anything."""
    listens = "listen 443 ssl; listen 8443 ssl proxy_protocol;"
    _, front = look_at_nginx(read(f"server {{ {listens} server_name aibots.kz; {GOOD} }}"), SITE, "en")
    assert front == Front((443, 8443), (("127.0.0.1", 443),))


def test_a_pair_that_http_names_is_the_server_s() -> None:
    """A server without a pair of its own shows the one that stands above it."""
    above = "ssl_certificate /c.pem; ssl_certificate_key /k.pem;"
    _, front = look_at_nginx(read(f"http {{ {above} server {{ listen 443 ssl; {GOOD} }} }}"), SITE, "en")
    assert front == Front((443,), (("127.0.0.1", 443),), Path("/c.pem"), Path("/k.pem"))


@pytest.mark.parametrize(
    ("code", "level", "command"),
    [
        ("served.refused", Level.FAIL, "sudo nginx -t && sudo systemctl start nginx"),
        ("served.other_certificate", Level.FAIL, "sudo nginx -t && sudo systemctl reload nginx"),
        ("served.other_chain", Level.WARN, "sudo nginx -t && sudo systemctl reload nginx"),
        ("served.unreachable", Level.FAIL, "as it was"),
    ],
)
def test_what_mends_our_port_does_not_mend_nginx_s(code: str, level: Level, command: str) -> None:
    """nginx is told to read its files again; whatever it does not concern stays as it is."""
    found = said_of_nginx(Finding(code, Level.FAIL, "seen", "ours", "as it was"), "en")
    assert (found.level, found.text, found.command) == (level, "seen", command)


def test_quotes_comments_and_variables_are_read() -> None:
    """Strings may hold what else would end a directive; comments hold nothing."""
    root = read("""a "x; {y}" '# z' ${v}; # b { c;\nd { e "\\"" ; }""")
    assert [(line.name, line.arguments) for line in root.block] == [("a", ["x; {y}", "# z", "${v}"]), ("d", [])]
    assert [line.arguments for line in root.block[1].block] == [['\\"']]


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="server{};location=~\"'\\ \n#$/@1x", max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever the files hold, reading them ends with findings."""
    found, _ = look_at_nginx(read(text), SITE, "en")
    assert found
