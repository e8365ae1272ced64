"""What the doctor asks of the machine it runs on, gathered so that a test can answer instead."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from app.core.clock import SystemClock
from app.core.setting_loader import ENV_FILE
from app.doctor.finding import Finding
from app.doctor.host import asking, commands, disk, names, nginx_files
from app.doctor.tls.examination import Examined, examine_files
from app.doctor.tls.served import examine_served
from app.domain.language import Language
from app.tls.pair_files import PairPaths
from app.tls.served import ServedPair

ExamineFiles = Callable[[PairPaths, Sequence[str], datetime, Language], Examined]
ExamineServed = Callable[[tuple[str, int], str, ServedPair | None, Language], list[Finding]]


@dataclass(frozen=True, slots=True)
class Machine:
    """Programs, names, sockets, disks, files, the time, whose certificates are trusted, and how slow it may be."""

    run: commands.Run = commands.run
    resolve: names.Resolve = names.resolve
    ask: asking.Ask = asking.ask
    usage: Callable[[Path], disk.Usage] = shutil.disk_usage
    now: Callable[[], datetime] = SystemClock().now
    examine_files: ExamineFiles = examine_files
    examine_served: ExamineServed = examine_served
    patience: float = 1.0  # times the usual deadline of each look
    env_file: Path = ENV_FILE
    hosts_file: Path = names.HOSTS_FILE
    nginx_folder: Path = nginx_files.FOLDER
