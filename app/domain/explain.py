"""Why one job stands where it stands: its rows, told in order, then what is waited for or how it ended. Pure."""

from datetime import datetime

from app.domain.story import Story, StoryFacts
from app.domain.story_end import end_of, wait_of
from app.domain.story_events import as_it_stands, happened


def explain(facts: StoryFacts, now: datetime) -> Story:
    """Tell the story. Whatever the rows hold, it says what is waited for, or how it ended."""
    events = sorted(happened(facts), key=lambda sentence: sentence.at or now)
    sentences = (*events, *as_it_stands(facts))
    wait = wait_of(facts, now)
    if wait is not None:
        return Story(facts.request_id, sentences, wait.sentence, None, wait.command)
    end = end_of(facts)
    return Story(facts.request_id, sentences, None, end.sentence, end.command)
