"""Builds findings about certificates from their codes, in the operator's language."""

from dataclasses import replace

from app.catalog import translate
from app.doctor.finding import Catalogue, Finding, Level, finding
from app.doctor.tls.words import DATE_WORDS, FILE_WORDS, KEY_WORDS, NAME_WORDS, REMEDIES
from app.doctor.tls.words_chain import CHAIN_WORDS, SERVED_WORDS
from app.doctor.tls.words_repair import REPAIR_WORDS
from app.domain.language import Language
from app.tls.doubt_words import Doubt
from app.tls.pair_files import PairBroken

CATALOGUE: Catalogue = {
    **FILE_WORDS,
    **DATE_WORDS,
    **NAME_WORDS,
    **KEY_WORDS,
    **CHAIN_WORDS,
    **SERVED_WORDS,
    **REPAIR_WORDS,
}


def say(
    code: str, language: Language, *, command: str | None = None, fixable: bool = False, **facts: object
) -> Finding:
    """Word the finding `code`; `command` replaces the catalogue's where given."""
    worded = finding(CATALOGUE, code, language, **facts)
    return replace(worded, command=worded.command if command is None else command, fixable=fixable)


def say_doubt(doubt: Doubt, language: Language, *, command: str | None) -> Finding:
    """Word what the server doubts, too; `command` as `say` has it."""
    return say(doubt.code, language, command=command, **doubt.facts)


def say_broken(error: PairBroken, language: Language) -> Finding:
    """Word a file that cannot be served: code `files.<cause>`; one that is closed only to this process warns."""
    remedy = translate(REMEDIES[error.cause], language)
    level = Level.WARN if error.cause == "foreign" else Level.FAIL
    return Finding(f"files.{error.cause}", level, error.told, remedy, error.command)
