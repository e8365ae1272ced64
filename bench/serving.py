"""How the baselines are served: stock uvicorn with its fastest parser and loop, and no access log."""

import sys

import uvicorn
from fastapi import FastAPI

PATH = "/api/v1/avatar/status_update"


def serve_by_argv(app: FastAPI) -> None:
    """Serve on the loopback port that the command line names first; over TLS when certificate and key follow it."""
    port, *pair = sys.argv[1:]
    certificate, key = pair or (None, None)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(port),
        http="httptools",
        loop="uvloop",
        ws="none",
        log_level="warning",
        access_log=False,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
