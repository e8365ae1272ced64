"""Operators who watch: `python -m bench.watchers ORIGIN TOKEN PAGES` keeps that many pages open, live, until SIGTERM.

Each is a session of its own that reads the stream of changes and asks for its page anew at each of them, as a browser
does. What they asked for is printed at the end.
"""

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from subprocess import PIPE, Popen

import aiohttp

PAGES = ("", "/deliveries", "/messages", "/jobs", "/errors")
READY_WITHIN = 30.0  # s


@contextmanager
def watching(origin: str, token: str, pages: int) -> Iterator[None]:
    """Keep `pages` pages open in a process beside."""
    command = [sys.executable, "-m", "bench.watchers", origin, token, str(pages)]
    with Popen(command, stdout=PIPE) as process:
        assert process.stdout is not None
        if process.stdout.readline() != b"open\n":
            raise RuntimeError("the pages could not be opened")
        try:
            yield
        finally:
            process.terminate()
            process.wait(READY_WITHIN)


async def _watch(origin: str, token: str, path: str, opened: asyncio.Event, reads: list[int]) -> None:
    same = {"Sec-Fetch-Site": "same-origin", "Origin": origin}
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        form = {"token": token, "name": "bench"}
        async with session.post(f"{origin}/dashboard/login", data=form, headers=same, allow_redirects=False) as answer:
            cookie = answer.headers["Set-Cookie"].partition(";")[0]
        headers = {**same, "Cookie": cookie}
        asked = aiohttp.ClientTimeout(total=None)
        async with session.get(f"{origin}/dashboard/live", headers=headers, timeout=asked) as stream:
            opened.set()
            async for line in stream.content:
                if line.startswith(b"event: changed"):
                    async with session.get(f"{origin}/dashboard{path}", headers=headers) as page:
                        await page.read()
                        reads[page.status != 200] += 1


async def _main(origin: str, token: str, pages: int) -> None:
    reads = [0, 0]
    opened = [asyncio.Event() for _ in range(pages)]
    tasks = [
        asyncio.create_task(_watch(origin, token, PAGES[number % len(PAGES)], event, reads))
        for number, event in enumerate(opened)
    ]
    async with asyncio.timeout(READY_WITHIN):
        await asyncio.gather(*(event.wait() for event in opened))
    sys.stdout.write("open\n")
    sys.stdout.flush()
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    await over.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    sys.stderr.write(f"{pages} open pages were read {reads[0]} times, {reads[1]} times in vain\n")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
