"""Baseline: the least a FastAPI application can do with a JSON body. `python -m bench.echo PORT [CERT KEY]`."""

from typing import Any

from fastapi import FastAPI, Request

from bench.serving import PATH, serve_by_argv

app = FastAPI(openapi_url=None)


@app.get("/readyz")
async def readyz() -> dict[str, str]:
    """Say that the process serves."""
    return {"status": "ready"}


@app.post(PATH, response_model=None)
async def echo(request: Request) -> Any:
    """Return what came: nothing is checked, nothing kept."""
    return await request.json()


if __name__ == "__main__":
    serve_by_argv(app)
