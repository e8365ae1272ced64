"""The server's worker without its door: `python -m bench.drain_worker apply,notify [--unpaced]`; settings as always.

Everything is what the server itself makes of its settings, except for which jobs run, and for `--unpaced`:
TELEGRAM_RATE ends at 1000, while the flow's own 0 asks for no slots at all.
"""

import asyncio
import signal
import sys
from collections.abc import Collection

import uvloop

from app.bootstrap.running import running
from app.core.config import Settings
from app.core.logger import register_secrets, setup_logging
from app.core.setting_loader import load_settings
from app.worker import Worker


async def work(settings: Settings, names: Collection[str]) -> None:
    """Run these jobs until SIGTERM."""
    async with running(settings) as services:
        jobs = Worker.of(services.work, settings.poll_interval)._jobs  # noqa: SLF001  the same jobs, fewer of them
        worker = Worker([job for job in jobs if job.name in {*names, "poll"}])
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await worker.run()


def main() -> None:
    """Set up as the server does, then work."""
    settings = load_settings(None)
    register_secrets(settings.secret_values())
    setup_logging(settings.log_level, settings.log_dir, settings.api_log_file, settings.webhook_log_file)
    if "--unpaced" in sys.argv:
        settings = settings.model_copy(update={"telegram_rate": 0.0})
    uvloop.run(work(settings, sys.argv[1].split(",")))


if __name__ == "__main__":
    main()
