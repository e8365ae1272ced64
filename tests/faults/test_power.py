"""Fault 2: the power goes. What a disk holds at any moment is a copy of the image that a loop device writes to."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from app.twins.sender import FalSender
from tests.faults.rig import MKFS, Rig, Server, dice, full_only, job, many, root_only, tell
from tests.faults.tracing import needs_strace, traced
from tests.process.conftest import Outside

pytestmark = [pytest.mark.anyio, root_only]

IMAGE_BYTES = 128 << 20
CLIENTS = 4
PAUSE = 0.02  # s between two deliveries of one client: the disk has to hold what comes between fifty cuts
JOBS = 20_000  # a bound, not an aim
AT_LEAST = 5  # answers between two cuts


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    """Mount an image; ext4 replays its journal as it does after a power cut."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def make_image(image: Path) -> None:
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    subprocess.run([MKFS or "mkfs.ext4", "-q", "-F", str(image)], check=True)


async def cut(server: Server, fal: FalSender, image: Path, away: Path) -> tuple[int, int, str]:
    """Stop time, copy what is on the disk, go on; return (acknowledged, lost, the copy's soundness)."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(0.02)  # answers that had left arrive
        acknowledged = {(record.request_id, record.body) for record in fal.log if record.acknowledged}
        copy = away / "copy"
        await asyncio.to_thread(subprocess.run, ["cp", "--sparse=always", str(image), str(copy)], check=True)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    lost, verdict = await asyncio.to_thread(examine, copy, away / "examined", acknowledged)
    return len(acknowledged), lost, verdict


def examine(copy: Path, folder: Path, acknowledged: set[tuple[str, bytes]]) -> tuple[int, str]:
    """Count the acknowledged deliveries that the copy does not hold byte for byte."""
    with mounted(copy, folder), closing(sqlite3.connect(folder / "aisha.db")) as connection:
        try:
            verdict = str(connection.execute("PRAGMA integrity_check").fetchone()[0])
            rows = connection.execute("SELECT request_id, body FROM webhook_deliveries").fetchall()
        except sqlite3.DatabaseError as error:
            return len(acknowledged), str(error)
    return len(acknowledged - {(request_id, bytes(body)) for request_id, body in rows}), verdict


async def answered(fal: FalSender, number: int) -> None:
    """Wait until so many deliveries were answered 200, however slow the machine is."""
    async with asyncio.timeout(60):
        while sum(record.acknowledged for record in fal.log) < number:  # noqa: ASYNC110  the log has no event
            await asyncio.sleep(0.02)


async def run_with_cuts(
    rig: Rig, server: Server, image: Path, away: Path, *, cuts: int, run: int = 0
) -> list[tuple[int, int, str]]:
    chance = dice(f"power cuts {run}")
    stop = asyncio.Event()
    numbers = iter(range(JOBS))
    async with rig.sender(speed=60) as fal:

        async def client() -> None:
            while not stop.is_set() and (number := next(numbers, None)) is not None:
                await fal.deliver(*job(number))
                await asyncio.sleep(PAUSE)

        clients = [asyncio.create_task(client()) for _ in range(CLIENTS)]
        found = []
        for _ in range(cuts):
            await answered(fal, AT_LEAST + sum(record.acknowledged for record in fal.log))
            await asyncio.sleep(chance.uniform(0.05, 0.4))
            found.append(await cut(server, fal, image, away))
        stop.set()
        await asyncio.gather(*clients)
    return found


@pytest.fixture
def disk(tmp_path: Path, sqlite_template: Path) -> Iterator[tuple[Path, Path]]:
    """An image and where it is mounted, with the database on it, safe on the disk."""
    image = tmp_path / "image"
    make_image(image)
    with mounted(image, tmp_path / "disk") as folder:
        (folder / "aisha.db").write_bytes(sqlite_template.read_bytes())
        subprocess.run(["sync", "-f", str(folder)], check=True)
        yield image, folder


@pytest.mark.parametrize("run", range(many(4, 1)))
async def test_no_power_cut_takes_an_acknowledged_row(
    disk: tuple[Path, Path], tmp_path: Path, outside: Outside, run: int
) -> None:
    """At random moments under load the disk holds every delivery that was answered 200, and is sound (fault 2)."""
    image, folder = disk
    begun = time.monotonic()
    rig = Rig(tmp_path / "server", f"sqlite:///{folder / 'aisha.db'}", outside)
    rig.watch()
    rig.train([job(number)[0] for number in range(500)])  # the first ones are applied and told as well
    try:
        server = await rig.start(LOG_LEVEL="INFO")
        found = await run_with_cuts(rig, server, image, tmp_path, cuts=many(50, 3), run=run)
        await server.stop()
    finally:
        await rig.close()
    figures = rig.check(settled=False)
    tell(
        "power cuts",
        cuts=len(found),
        acknowledged_at_the_last=found[-1][0],
        lost=sum(lost for _, lost, _ in found),
        unsound=sum(verdict != "ok" for *_, verdict in found),
        seconds=round(time.monotonic() - begun),
        figures=figures,
    )
    assert [(lost, verdict) for _, lost, verdict in found] == [(0, "ok")] * len(found)
    assert found[-1][0] >= AT_LEAST * len(found)


@needs_strace
@full_only
async def test_the_power_cut_would_be_noticed_on_a_disk_that_lies(
    disk: tuple[Path, Path], tmp_path: Path, outside: Outside
) -> None:
    """Where fdatasync only pretends (as synchronous=OFF does), the same cuts find losses (fault 2)."""
    image, folder = disk
    rig = Rig(tmp_path / "server", f"sqlite:///{folder / 'aisha.db'}", outside)
    try:
        server = await rig.start(LOG_LEVEL="INFO")
        lie = ("-f", "-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:retval=0")
        async with traced(server.pid, *lie):
            found = await run_with_cuts(rig, server, image, tmp_path, cuts=3)
        await server.stop()
    finally:
        await rig.close()
    tell("power cuts on a lying disk", found=found)
    assert any(lost for _, lost, _ in found)
