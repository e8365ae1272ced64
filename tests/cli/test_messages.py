import json

import pytest
from typer.testing import CliRunner, Result

from app.cli.main import app
from app.domain.alert import Condition
from app.domain.notification import Cause, Topic
from app.domain.progress import ProgressLine


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.setenv("SUPPORT_URL", "https://t.me/aisha_help")


def preview(*words: str) -> Result:
    return CliRunner().invoke(app, ["messages", "preview", *words])


def test_one_message_as_a_chat_shows_it() -> None:
    """The words of one cause in one language, and the buttons in brackets; no mark that a terminal would spell out."""
    shown = preview("--language", "kk", "--cause", "no_face")
    assert shown.exit_code == 0
    lines = shown.output.rstrip("\n").split("\n")
    assert lines[:2] == ["── failed.no_face", "«Айша» аватарын жасай алмадық"]
    assert lines[-2:] == ["[🔄 Қайта жасау]", "[💬 Қолдау қызметі]"]
    assert "\\u" not in shown.output


def test_every_message_can_be_seen() -> None:
    """Without a choice everything that is ever said is listed, as JSON with its HTML and its buttons' targets."""
    samples = json.loads(preview("--json", "--language", "en").output)
    found = {(sample["topic"], sample["cause"]) for sample in samples}
    assert len(found) == len(samples)
    assert {cause for topic, cause in found if topic == "failed"} == set(Cause)
    assert {cause for topic, cause in found if topic == "progress"} == set(ProgressLine)
    assert {cause for topic, cause in found if topic == "alert"} == set(Condition)
    assert {topic for topic, _ in found} == {*Topic, "progress"}
    [no_face] = [sample for sample in samples if sample["cause"] == "no_face"]
    assert no_face["language"] == "en"
    assert no_face["html"].startswith("<b>")
    assert no_face["buttons"] == [
        [{"text": "🔄 Create again", "callback_data": "create_avatar"}],
        [{"text": "💬 Support", "url": "https://t.me/aisha_help"}],
    ]


def test_a_name_of_ones_own() -> None:
    """What a name does to a message can be tried."""
    assert "<b>&lt;x&gt;" not in preview("--topic", "trouble_ours", "--name", "<x>").output
    assert "<x>" in preview("--topic", "trouble_ours", "--name", "<x>").output


def test_no_such_message() -> None:
    """A choice that fits nothing is told, with exit code 1."""
    shown = preview("--cause", "bad_luck")
    assert shown.exit_code == 1
    assert "no such message" in shown.output
