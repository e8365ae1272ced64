"""Settings → what rehearses acts of an operator: the planner as the running server has it, without its ports."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import cast

from app import __version__
from app.bootstrap.asking import trainer_endpoints
from app.core.config import Settings
from app.db.engine import Database
from app.db.generations import Generations
from app.db.trainings import BotTables
from app.domain.artifact import ArtifactCheck
from app.domain.invented import Invented
from app.fal.authenticate import Authenticator
from app.flows.kinds import Kind, generation, training
from app.flows.planning import RetryLimits
from app.flows.ports import Clock
from app.flows.rehearse import Rehearse
from app.flows.trial import operator_as_owner, trial
from app.telegram.catalogs import Catalogs
from app.telegram.wording import word


async def open_rehearse(settings: Settings, database: Database, bot_tables: BotTables, clock: Clock) -> Rehearse:
    """Assemble it where no server is, with kinds of its own. Raises DatabaseUnavailable."""
    unproven = cast("Authenticator", None)  # what is stored was proven when it came
    generations = await database.read(Generations.find, settings.operator_chat_id)
    kinds = (
        training(
            unproven,
            bot_tables,
            trainer_endpoints(settings),
            invented=Invented.of(settings.invented_artifacts),
            tells_found=settings.tell_when_found_completed,
        ),
        generation(unproven, generations, tells_found=settings.tell_when_found_completed),
        trial(unproven, operator_as_owner(settings.operator_chat_id, settings.operator_language)),
    )
    return make_rehearse(settings, database, bot_tables, clock, kinds)


def make_rehearse(
    settings: Settings, database: Database, bot_tables: BotTables, clock: Clock, kinds: Sequence[Kind]
) -> Rehearse:
    """Assemble it; `kinds` are the server's own: no other kind is played."""
    limits = RetryLimits(
        settings.retry_max_attempts,
        timedelta(hours=settings.orphan_hours),
        timedelta(seconds=settings.lease_seconds),
    )
    return Rehearse(
        database,
        bot_tables,
        kinds,
        limits,
        clock,
        word=partial(word, catalogs=Catalogs(settings.default_language), support_url=settings.support_url),
        code=__version__,
        check=ArtifactCheck(settings.artifact_check),
        invented=Invented.of(settings.invented_artifacts),
    )
