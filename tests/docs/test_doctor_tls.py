"""docs/doctor-tls.md names what the doctor says of TLS, no more and no less."""

from app.doctor.finding import Level
from app.doctor.tls.voice import CATALOGUE
from app.tls.causes import CAUSES
from tests.docs.project import between, page, rows


def test_every_finding_is_explained_with_its_level() -> None:
    """Each code stands in the table with the level that the doctor gives it, and no other code does."""
    levels = {code: wording.level for code, wording in CATALOGUE.items()}
    levels |= {f"files.{cause}": Level.FAIL for cause in CAUSES} | {"files.foreign": Level.WARN}
    table = rows(between(page("docs/doctor-tls.md"), "findings"))
    assert {row[0].strip("`"): row[1] for row in table} == {code: level.value for code, level in levels.items()}
