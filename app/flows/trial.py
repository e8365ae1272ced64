"""The kind `test`: the whole way of a delivery, about nothing of the bot's. `aisha-webhook try` sends these."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from app.db.engine import Connection
from app.db.trainings import Found
from app.domain.job import JobKind
from app.domain.notification import OPERATOR, Owner, OwnerMessage, Topic
from app.domain.training import Artifacts, Change, Known, Outcome, Plan, Training, TrainingStatus
from app.domain.verdict import Done
from app.fal import payload
from app.fal.authenticate import Authenticator
from app.flows.kinds import Kind

PATH = "/api/v1/test/status_update"


class NoRows:
    """Subjects that stand in no table: each delivery is about itself."""

    def lock(self, connection: Connection, request_ids: Sequence[str]) -> Found:  # noqa: ARG002  the port's parameters
        """Find what every delivery is about; nothing is read."""
        return Found({request_id: [_subject(request_id)] for request_id in request_ids})

    def change(self, connection: Connection, changes: Sequence[tuple[Training, Change, str]]) -> None:
        """Change nothing."""


def trial(authenticator: Authenticator, operator: Owner | None) -> Kind:
    """Describe the kind `test`; `operator` is told of each, None where there is no chat."""
    return Kind(
        JobKind.TEST, PATH, authenticator, payload.read, NoRows(), partial(_decide, operator=operator), _nowhere
    )


def operator_as_owner(chat_id: int | None, language: str) -> Owner | None:
    """Name the operator as whoever is told; None without a chat."""
    return None if chat_id is None else Owner(OPERATOR, chat_id, language)


def message_about(request_id: str, operator: Owner) -> OwnerMessage:
    """Say what the operator is told about one delivery of this kind."""
    return OwnerMessage(_subject(request_id).avatar_id, "", request_id, Topic.TEST, operator)


def _decide(
    training: Training,
    outcome: Outcome,  # noqa: ARG001  as the other kinds' rules
    now: datetime,  # noqa: ARG001  as above
    known: Known | None = None,  # noqa: ARG001  as above
    *,
    operator: Owner | None,
) -> Plan:
    message = None if operator is None else message_about(training.request_id, operator)
    return Plan(Done("tried"), None, message)


def _subject(request_id: str) -> Training:
    owner = Owner(OPERATOR, None, "")
    return Training(request_id, request_id, "", None, TrainingStatus.TRAINING, "training", Artifacts(), owner)


def _nowhere(about: Training | None) -> Sequence[str]:  # noqa: ARG001  as the other kinds' endpoints
    """Name no endpoint: fal never works on one."""
    return ()
