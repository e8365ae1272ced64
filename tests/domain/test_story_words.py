"""The words of the story: each is said of something, and filled by the facts of its own sentence."""

from collections.abc import Iterator
from string import Formatter
from typing import get_args

import pytest

from app.catalog import translate
from app.domain import story_reasons
from app.domain.explain import explain
from app.domain.history import Event, EventKind
from app.domain.language import Language
from app.domain.story import Sentence, StoryFacts
from app.domain.story_end import LEFT
from app.domain.story_words import WORDS
from tests.fakes import START
from tests.story_rows import drifted, ended_job, facts, images_job, job, message, received, subject

TOPICS = ("ready", "failed", "correction", "images")
STATES = ("pending", "sent", "unsent", "dead", "ignored", "a_newer_one")


def of_jobs() -> Iterator[StoryFacts]:
    """Each source, stage, reason, outcome and drift, one of a newer version among them."""
    yield facts(job(state="historic"), subject(is_carrier=False))
    for source in ("submitted", "registered", "guessed"):
        yield facts(job(endpoint_source=source, at_work_since=START, looked_at=START, due_at=START - 2 * LEFT))
    for stage in (*story_reasons.STAGE, "a_newer_one"):
        yield facts(job(stage=stage, position=4, percent=60))
    for reason in (*story_reasons.PENDING_JOB, *story_reasons.DEAD_JOB, "a_newer_one"):
        yield facts(job(reason=reason))
        yield facts(job(state="dead", reason=reason))
    for outcome in ("completed", "failed", "gone", "superseded", "a_newer_one"):
        yield facts(ended_job(outcome=outcome, drifts=1, drifted_at=START))
    for artifact in ("unverified", "absent"):
        yield facts(ended_job(artifact=artifact))
    yield facts(ended_job(), drifted())
    yield facts(ended_job(), drifted(drifts=3, drifted_at=START))


def of_deliveries() -> Iterator[StoryFacts]:
    """Each state and reason, as above."""
    for reason in (*story_reasons.PENDING_DELIVERY, *story_reasons.DEAD_DELIVERY, "a_newer_one"):
        for state in ("pending", "dead", "ignored"):
            yield facts(received(state=state, reason=reason, repeats=1, trace="00-a-b-01", source="reconcile"))
    for reason in ("completed", "failed", "already_completed", "already_final", "a_newer_one"):
        yield facts(received(reason=reason, is_emptied=True))
        yield facts(images_job(), received(reason=reason))
        yield facts(received(state="a_newer_one", reason=reason))


def of_messages() -> Iterator[StoryFacts]:
    """Each state, reason and topic, as above."""
    for reason in (*story_reasons.PENDING_MESSAGE, *story_reasons.DEAD_MESSAGE, "a_newer_one"):
        for state in STATES:
            yield facts(message(state=state, reason=reason))
    for topic in TOPICS:
        yield facts(message(topic=topic))
    yield facts(message(uncertain=1))
    yield facts(message(state="unsent"), has_token=False)
    yield facts(message(state="unsent", is_emptied=True))


def of_the_rest() -> Iterator[StoryFacts]:
    """The history, the bot's rows alone, and nothing at all."""
    yield facts()
    yield facts(subject())
    yield facts(subject("training"))
    yield facts(subject(), subject(id="a2"))
    yield facts(*(Event(START, kind, delivery_id=3) for kind in EventKind))


@pytest.fixture(scope="module")
def sentences() -> list[Sentence]:
    """Every sentence of all these stories."""
    stories = [explain(row, START) for row in (*of_jobs(), *of_deliveries(), *of_messages(), *of_the_rest())]
    told = [sentence for story in stories for sentence in (*story.sentences, story.waits_for, story.end)]
    return [sentence for sentence in told if sentence is not None]


def placeholders(text: str) -> set[str]:
    return {name for _, name, *_ in Formatter().parse(text) if name is not None}


def test_every_word_is_said_of_something(sentences: list[Sentence]) -> None:
    """No sentence without words, and no words that no row of any kind brings about."""
    assert {sentence.code for sentence in sentences} == set(WORDS)


@pytest.mark.parametrize("language", get_args(Language))
def test_facts_fill_the_words_of_their_sentence(language: Language, sentences: list[Sentence]) -> None:
    """Whatever a text names is among the facts of its sentence, each time that it is told."""
    for sentence in sentences:
        text = translate(WORDS[sentence.code], language)
        assert placeholders(text) <= sentence.facts.keys(), (sentence.code, text)
        assert "{" not in text.format(**sentence.facts), sentence.code
