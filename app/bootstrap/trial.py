"""Settings → the kind `test`, with the key of this installation."""

import structlog

from app.core.config import Settings
from app.fal.authenticate import Authenticator, IpFilter
from app.fal.own_key import ACCOUNT, FILE, OwnKeys, OwnMachine, load_or_make
from app.flows.kinds import Kind
from app.flows.ports import Clock
from app.flows.trial import operator_as_owner, trial

log = structlog.get_logger(__name__)


def trial_kinds(settings: Settings, clock: Clock) -> tuple[Kind, ...]:
    """Describe the kind, making the key at the first start; none where the key can be neither read nor made."""
    path = settings.data_dir / FILE
    try:
        key = load_or_make(path)
    except OSError as error:
        log.warning("try.no_key", path=str(path), why=error.strerror)
        return ()
    authenticator = Authenticator(OwnKeys(key.verify_key), OwnMachine(), IpFilter.ENFORCE, ACCOUNT, clock.now)
    return (trial(authenticator, operator_as_owner(settings.operator_chat_id, settings.operator_language)),)
