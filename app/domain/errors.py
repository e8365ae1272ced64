"""The errors that leave the package they are raised in; what a package raises and catches itself stands there.

AishaError
├── StartRefused              the server must not start like this            exit 78
│   ├── SettingsInvalid       one or more settings are wrong
│   ├── CertificateBroken     the TLS pair cannot be served
│   └── DatabaseUnfit         tables, migrations or the file itself are wrong
│       └── DatabaseBehind    migrations of ours are missing
├── RequestRefused            a request is answered by its reason
│   ├── DeliveryRefused       one POST is not accepted                       4xx
│   ├── AccessRefused         a page of the operator's is not shown          4xx
│   └── JobRefused            what was asked about a job is not done         4xx, 503
├── Unavailable               a POST cannot be judged or stored just now     503
│   ├── KeysUnavailable       no fal key to verify with
│   └── DatabaseUnavailable   the database did not answer, or not in time
│       ├── DatabaseReadOnly  it takes no writes: a standby, or guarded       exit 75
│       ├── DatabaseConflict  another transaction was in the way              again
│       └── DatabaseDamaged   the disk failed under a write                  exit 75
├── Unusable                  what fal gave
│   ├── PayloadUnreadable     a stored body is not a fal delivery            bury
│   └── ResultUnavailable     fal's queue did not give the result            retry
├── ClaimLost                 another worker finished this row meanwhile     drop
├── SearchRefused             a search asks for what there is not            exit 2
│   └── SearchTooWide         it took too long: it must be narrowed
├── RowsChanged               rows are not as they were rehearsed            exit 1
├── BackupFailed              there is no whole copy of the database         exit 1
└── MoveFailed                the way to another database was not finished   exit 1
    ├── CopyFailed            nothing was copied
    └── OldNotClosed          the old database has unfinished rows, too
"""

from collections.abc import Sequence


class AishaError(Exception):
    """Base of every deliberate error."""


class StartRefused(AishaError):
    """The server must not start like this; each line names one cause and its remedy."""

    def __init__(self, findings: Sequence[str]) -> None:
        super().__init__("\n".join(findings))
        self.findings = tuple(findings)


class SettingsInvalid(StartRefused):
    """One or more settings are wrong; `findings` holds a line per setting, never its value."""


class CertificateBroken(StartRefused):
    """The TLS pair cannot be served."""


class DatabaseUnfit(StartRefused):
    """The database lacks tables, columns or migrations, or is damaged."""


class DatabaseBehind(DatabaseUnfit):
    """Migrations of ours are missing."""


class RequestRefused(AishaError):
    """A request that is answered with an HTTP status, the stable name of the reason (docs/errors.md) and one sentence.

    The sentence is for whoever reads the answer: it holds no secret and no payload.
    """

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail


class DeliveryRefused(RequestRefused):
    """One POST is not accepted."""


class AccessRefused(RequestRefused):
    """A page of the operator's is not shown to this caller."""


class JobRefused(RequestRefused):
    """What was asked about a job is not done."""


class Unavailable(AishaError):
    """A POST cannot be judged or stored just now; fal retries on 503."""

    code = "unavailable"
    retry_after = 5  # seconds


class KeysUnavailable(Unavailable):
    """No fal key younger than a day is at hand, so no signature can be judged."""

    code = "keys_unavailable"


class DatabaseUnavailable(Unavailable):
    """The database did not answer, or not in time; what was under way was not committed."""

    code = "database_unavailable"


class DatabaseReadOnly(DatabaseUnavailable):
    """The database takes no writes: it is a standby, or somebody guards it; the text says by what that is known."""


class DatabaseConflict(DatabaseUnavailable):
    """Another transaction was in the way (deadlock, serialization): the same again is expected to succeed."""


class DatabaseDamaged(DatabaseUnavailable):
    """The disk failed under a write: what is on it is uncertain, so the process ends and starts anew."""


class Unusable(AishaError):
    """What fal gave cannot be worked with; `code` is the stable name of the reason."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class PayloadUnreadable(Unusable):
    """A stored body is not a fal delivery."""


class ResultUnavailable(Unusable):
    """fal's queue did not give the result."""


class ClaimLost(AishaError):
    """Another worker claimed or finished this row meanwhile: what was planned here is dropped."""


class BackupFailed(AishaError):
    """No usable copy was made; the text says why and what to run."""


class MoveFailed(AishaError):
    """The way to another database was not finished: `code` names why, `facts` fill the sentence about it."""

    def __init__(self, code: str, **facts: object) -> None:
        super().__init__(code, facts)
        self.code = code
        self.facts = facts


class CopyFailed(MoveFailed):
    """Nothing was copied."""


class OldNotClosed(MoveFailed):
    """The old database still has unfinished rows that are the new one's now: no server may be started on it.

    `code` is `old_open`: every row is in the new database; or `commit_unknown`: the connection to the new one broke in
    its commit, so every row is there or none.
    """


class SearchRefused(AishaError):
    """A search asks for what there is not. `sentence` with its `facts` filled in is the message."""

    def __init__(self, sentence: str, **facts: object) -> None:
        super().__init__(sentence.format(**facts))
        self.sentence = sentence
        self.facts = facts


class SearchTooWide(SearchRefused):
    """A search took longer than it may: it must be narrowed."""


class RowsChanged(AishaError):
    """Rows that an operator wants to act on are not as they were rehearsed: look again."""
