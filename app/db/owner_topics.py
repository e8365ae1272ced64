"""What owners were told of their jobs, from the rows of the outbox: they stay when their names are forgotten."""

from collections import defaultdict
from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.engine import Connection

from app.db.tables import notifications
from app.domain.notification import NotificationState, OwnerTopics, Topic

_ABOUT_RESULTS = (Topic.READY, Topic.FAILED, Topic.CORRECTION)
_Subject = tuple[str, str]  # the subject and the request id


def owner_topics(connection: Connection, subjects: Collection[_Subject]) -> dict[_Subject, OwnerTopics]:
    """Load what was told about these (subject, request id); there is none of whom nothing was ever owed."""
    columns = notifications.c
    statement = (
        select(columns.avatar_id, columns.request_id, columns.kind, columns.cause, columns.state)
        .where(
            columns.avatar_id.in_({subject for subject, _ in subjects}),
            columns.request_id.in_({request_id for _, request_id in subjects}),
            columns.kind.in_(_ABOUT_RESULTS),
        )
        # What waits comes after all that was sent.
        .order_by(columns.state == NotificationState.PENDING, columns.finished_at, columns.id)
    )
    owed: defaultdict[_Subject, set[Topic]] = defaultdict(set)
    last: dict[_Subject, bool] = {}
    for avatar_id, request_id, kind, cause, state in connection.execute(statement):
        topic, key = Topic(kind), (avatar_id, request_id)
        owed[key].add(topic)
        # A failure that waits may be overtaken yet.
        if state == NotificationState.SENT or (state == NotificationState.PENDING and topic is not Topic.FAILED):
            last[key] = topic is Topic.READY or (topic is Topic.CORRECTION and cause is None)
    return {key: OwnerTopics(frozenset(topics), last.get(key)) for key, topics in owed.items()}
