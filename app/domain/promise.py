"""What an owner must not hear yet: until the operator knows of it, or until what was promised can be done. Pure."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

from app.domain.alert import Condition
from app.domain.notification import Cause, OwnerMessage, Topic

HELD_FOR = timedelta(minutes=30)  # a failure waits so long at most until the operator's alert was sent
TROUBLE_AFTER = timedelta(minutes=30)  # a result waits so long for the operator before its owner hears of trouble


class Hold(StrEnum):
    """Why a message that is owed is not sent yet; the column `reason` holds it."""

    ALERT = "awaits_alert"  # the operator has not been told yet, so nobody may say that we know of it
    ACCOUNT = "awaits_account"  # fal still refuses our account


# The alert that must have been sent before an owner hears of trouble, by why a delivery waits; others are buried.
TOLD_BY: Mapping[str, Condition] = {
    "no_fal_key": Condition.FAL_KEY_MISSING,
    "fal_key_refused": Condition.FAL_KEY_REFUSED,
}
BURIED_BY = Condition.DELIVERIES_BURIED


def hold_of(message: OwnerMessage) -> Hold | None:
    """Tell what a message waits for from the moment at which it is owed."""
    match message.topic, message.cause:
        case Topic.FAILED, Cause.OUR_ACCOUNT:
            return Hold.ALERT
        case Topic.ACCOUNT_BACK, _:
            return Hold.ACCOUNT
    return None
