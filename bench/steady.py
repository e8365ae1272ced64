"""A steady load: deliveries at fixed moments, whatever the server does, over kept-alive connections.

wrk sends the next delivery when the last one is answered, so it cannot hold a rate. Latency counts from the moment at
which a delivery was due to be sent: one that waits for a connection is slow, not late.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from bench.files import Deliveries
from bench.load import Load, Target

CONNECTIONS = 16
PATIENCE = 10.0  # s for one answer
FIRST_AFTER = 0.2  # s, in which the connections are made


@dataclass(slots=True)
class _Seen:
    took_ms: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    timeouts: int = 0
    errors: int = 0
    answered: list[str] = field(default_factory=list)


def steady_load(target: Target, deliveries: Deliveries, answered: Path, *, seconds: int, rate: int) -> Load:
    """Send `rate` deliveries a second to the first origin, over plain HTTP; ids answered 2xx go to `answered`."""
    cpu_before, own_before = target.cpu_seconds(), time.process_time()
    seen = asyncio.run(_send(int(target.origins[0].rpartition(":")[2]), deliveries, seconds * rate, rate))
    cpu, own = target.cpu_seconds() - cpu_before, time.process_time() - own_before
    answered.write_text("\n".join(seen.answered), encoding="ascii")
    took, ok = sorted(seen.took_ms), len(seen.answered)
    return Load(
        requests_per_second=ok / seconds,
        seconds=seconds,
        p50_ms=took[len(took) // 2],
        p99_ms=took[int(len(took) * 0.99)],
        max_ms=took[-1],
        ok=ok,
        non_2xx=seen.statuses.total(),
        statuses=dict(seen.statuses),
        socket_errors=seen.errors,
        timeouts=seen.timeouts,
        wrapped=False,
        server_cpu_us=cpu / max(ok, 1) * 1e6,
        wrk_cores=own / seconds,
    )


async def _send(port: int, deliveries: Deliveries, amount: int, rate: int) -> _Seen:
    seen, numbers, requests = _Seen(), count(), _requests(deliveries.path)
    start = time.monotonic() + FIRST_AFTER

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (number := next(numbers)) < amount:
            due = start + number / rate
            request = next(requests)
            await asyncio.sleep(max(due - time.monotonic(), 0))
            try:
                async with asyncio.timeout(PATIENCE):
                    writer.write(request)
                    status, body = await _answer(reader)
            except TimeoutError:
                seen.timeouts += 1
            except (OSError, asyncio.IncompleteReadError):
                seen.errors += 1
            else:
                if status.startswith("2"):
                    seen.answered.append(json.loads(body)["request_id"])
                else:
                    seen.statuses[status] += 1
                seen.took_ms.append((time.monotonic() - due) * 1e3)
                continue
            seen.took_ms.append(PATIENCE * 1e3)
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    return seen


async def _answer(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    lengths = [line.partition(":")[2] for line in head.split("\r\n") if line.lower().startswith("content-length:")]
    return head.split(" ", 2)[1], await reader.readexactly(int(lengths[0]))


def _requests(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while length := file.read(6):
            yield file.read(int(length))
