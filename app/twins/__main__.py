"""Run both twins as a program: `python -m app.twins --fal-port 0 --telegram-port 0 --keys FILE`.

One JSON line on stdout says when they are ready and where; SIGTERM or SIGINT ends them. GET /_twin/log gives the logs.
"""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import orjson

from app.twins.fal import FalTwin
from app.twins.signing import ACCOUNT, load_or_create_keys
from app.twins.telegram import TelegramTwin


async def run(fal_port: int, telegram_port: int, keys: Path) -> None:
    """Serve both twins until a signal comes. Port 0 takes a free one; `keys` is made when missing."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    twins = FalTwin(load_or_create_keys(keys)), TelegramTwin()
    async with twins[0].serve(fal_port) as fal, twins[1].serve(telegram_port) as telegram:
        ready = {"fal": fal, "telegram": telegram, "keys": str(keys), "user_id": ACCOUNT}
        sys.stdout.write(orjson.dumps(ready).decode() + "\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m app.twins", description="Local stand-ins for fal.ai and Telegram")
    parser.add_argument("--fal-port", type=int, default=0)
    parser.add_argument("--telegram-port", type=int, default=0)
    parser.add_argument("--keys", type=Path, required=True, help="file of hex seeds, one per line; made when missing")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.fal_port, arguments.telegram_port, arguments.keys))
