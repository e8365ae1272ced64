"""Run both twins as a program: `python -m app.twins --fal-port 0 --telegram-port 0 --keys FILE`.

One JSON line on stdout says when they are ready and where; SIGTERM or SIGINT ends them. Steering: app/twins/control.py.
"""

import argparse
import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import orjson
from starlette.applications import Starlette

from app.twins.control import fal_routes, telegram_routes
from app.twins.fal import FalTwin
from app.twins.serving import serve
from app.twins.signing import ACCOUNT, load_or_create_keys
from app.twins.telegram import TelegramTwin


async def run(fal_port: int, telegram_port: int, keys: Path) -> None:
    """Serve both twins until a signal comes. Port 0 takes a free one; `keys` is made when missing."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    fal = FalTwin(load_or_create_keys(keys))
    telegram = TelegramTwin()
    # Control routes come first: the queue's routes take any path that ends alike.
    fal_app = Starlette(routes=[*fal_routes(fal), *fal.routes])
    telegram_app = Starlette(routes=[*telegram_routes(telegram), *telegram.routes])
    async with AsyncExitStack() as stack:
        fal_url = await stack.enter_async_context(serve(fal_app, port=fal_port, before_stop=fal.release))
        telegram_url = await stack.enter_async_context(
            serve(telegram_app, port=telegram_port, before_stop=telegram.release)
        )
        ready = {"fal": fal_url, "telegram": telegram_url, "keys": str(keys), "user_id": ACCOUNT}
        sys.stdout.write(orjson.dumps(ready).decode() + "\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m app.twins", description="Local stand-ins for fal.ai and Telegram")
    parser.add_argument("--fal-port", type=int, default=0)
    parser.add_argument("--telegram-port", type=int, default=0)
    parser.add_argument("--keys", type=Path, required=True, help="file of hex seeds, one per line; made when missing")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.fal_port, arguments.telegram_port, arguments.keys))


if __name__ == "__main__":
    main()
