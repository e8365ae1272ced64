"""nginx before the measured server: the essentials of deploy/nginx, without TLS and without an access log.

As shipped, each request has a connection of its own to the server; *kept alive* reuses them, which the shipped file
does not do on purpose. The listener is plain HTTP: the TLS of nginx is not what is measured.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.processes import StartFailed, is_ready
from tests.ports import free_port

NGINX = shutil.which("nginx", path=f"{os.defpath}:/usr/sbin:/usr/local/sbin")
WITHIN = 10.0  # s

CONF = """{user}worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 2048; }}
http {{
    access_log off;
{temporary}
    upstream measured {{
{servers}
{keepalive}
    }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        server_tokens off;
        client_max_body_size 1m;
        client_body_buffer_size 64k;
        keepalive_requests 100000000;
        location / {{
            proxy_pass http://measured;
            proxy_http_version 1.1;
            proxy_request_buffering on;
            proxy_redirect off;
            proxy_set_header Connection "{connection}";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Real-IP "";
            proxy_set_header Forwarded "";
        }}
    }}
}}
"""


@contextlib.contextmanager
def nginx(folder: Path, ports: Sequence[int], *, kept_alive: bool) -> Iterator[str]:
    """Run nginx before these ports and yield its origin. Raises StartFailed."""
    if NGINX is None:
        raise StartFailed("nginx is missing: apt-get install nginx")
    folder.mkdir()
    port, main = free_port(), folder / "nginx.conf"
    kinds = ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
    keepalive = "        keepalive 512;\n        keepalive_requests 100000000;"
    text = CONF.format(
        user="user root;\n" if os.geteuid() == 0 else "",  # the bench's folder is closed to everybody else
        folder=folder,
        temporary="\n".join(f"    {kind}_temp_path {folder}/{kind};" for kind in kinds),
        servers="\n".join(f"        server 127.0.0.1:{one};" for one in ports),
        keepalive=keepalive if kept_alive else "",
        connection="" if kept_alive else "close",
        port=port,
    )
    main.write_text(text, encoding="utf-8")
    process = subprocess.Popen([NGINX, "-e", str(folder / "error.log"), "-c", str(main)], stderr=subprocess.DEVNULL)
    try:
        over = time.monotonic() + WITHIN
        while not is_ready(port, tls=False):
            if process.poll() is not None or time.monotonic() > over:
                raise StartFailed((folder / "error.log").read_text(encoding="utf-8", errors="replace")[-2000:])
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(WITHIN)
