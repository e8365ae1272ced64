"""Where an artifact may lie, and what follows from a look at it."""

from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.artifact import ArtifactCheck, ArtifactLook, ArtifactState, Sight, artifact_host, refusal_of
from app.domain.artifact_verdict import LAG, LEAST_LOOKS, ArtifactPatience, to_look_at, weigh
from app.domain.decision import decide
from app.domain.delivery import Claim, ClaimedDelivery
from app.domain.network import is_public
from app.domain.trainer import Trainer
from app.domain.training import Artifacts, Change, Completed, Plan, TrainingStatus
from app.domain.verdict import Bury, Done, Retry
from app.http_client.client import read_url
from tests.domain.url_forms import ALLOWED, HOSTS, REFUSED
from tests.factories import INVENTED, LORA, training
from tests.fakes import START

ABSENT = ArtifactLook(Sight.ABSENT, "http_404")
UNREACHABLE = ArtifactLook(Sight.UNREACHABLE, "timeout")
SEEN = ArtifactLook(Sight.SEEN)

schemes = st.sampled_from(["https", "HTTPS", "http", "ftp", "", "https:"])
separators = st.sampled_from(["://", ":/", "//", ":///", ":\\\\"])
names = st.one_of(
    st.sampled_from(["fal.media", "v3.fal.media", "V3B.Fal.Media", "evil.kz", "127.0.0.1", "[::1]", "fal.media.", ""]),
    st.text(alphabet="abv3.-_fal media\u3002\uff0e\u0131%2e@:\\#?/", max_size=30),
    st.text(max_size=12).map(lambda text: f"{text}.fal.media"),
    st.text(max_size=12).map(lambda text: f"v3.fal.media{text}"),
)
tails = st.one_of(
    st.just(""), st.sampled_from(["/", "?", "#", "/a", ":443/a", ":80", "@evil.kz/"]), st.text(max_size=12)
)
urls = st.one_of(st.text(max_size=60), st.builds(lambda *parts: "".join(parts), schemes, separators, names, tails))


def test_what_is_no_place_for_an_artifact_is_named() -> None:
    """Addresses in every spelling, other names, ports, credentials and schemes are refused with a word (fault 50)."""
    for url, why in REFUSED:
        assert refusal_of(url, HOSTS) == why, (url, why)


@pytest.mark.parametrize("url", ALLOWED)
def test_listed_names_are_allowed_however_they_are_spelt(url: str) -> None:
    """Case, a written-out port, a query and a fragment change nothing about where a file lies."""
    assert refusal_of(url, HOSTS) is None
    assert artifact_host(url) in {"fal.media", "v3.fal.media", "v3b.fal.media"}


@pytest.mark.parametrize("url", ["", "v3.fal.media/lora", "https://[::1]/lora", "https://v3.fal.media./lora"])
def test_what_has_no_public_name_names_no_host(url: str) -> None:
    """A log line or a reason then holds no host, and nothing that a stranger wrote in its place."""
    assert artifact_host(url) is None


def test_what_stands_before_the_host_is_no_part_of_its_name() -> None:
    """A URL with a name or a password is refused, and the refusal shows the host alone."""
    assert artifact_host("https://someone:secret@V3.fal.media:443/lora") == "v3.fal.media"


def test_a_name_without_a_star_stands_for_itself() -> None:
    """`fal.media` allows no subdomain, and `*.fal.media` does not allow `fal.media`."""
    assert refusal_of("https://v3.fal.media/a", ["fal.media"]) == "foreign_host"
    assert refusal_of("https://fal.media/a", ["*.fal.media"]) == "foreign_host"


@given(urls)
def test_no_parser_reads_another_host_into_what_is_allowed(url: str) -> None:
    """What passes the rule is, to the client and to urllib alike, https on port 443 of a listed name (fault 50)."""
    if refusal_of(url, HOSTS) is not None:
        return
    sent, parts = read_url(url), urlsplit(url)
    for host in (sent.host, parts.hostname, artifact_host(url)):
        assert host is not None
        assert host == "fal.media" or host.endswith(".fal.media")
    assert (sent.scheme, sent.port, sent.user, sent.password) == ("https", 443, None, None)
    assert parts.port in (None, 443)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_public_is_a_part_of_what_python_calls_global(address: IPv4Address | IPv6Address) -> None:
    """No address is public that is private, shared, reserved or a group's."""
    if is_public(str(address)):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


def test_an_address_of_no_machine_on_the_internet_is_not_public() -> None:
    """Private, loopback, link-local, shared, documentation, multicast, and IPv4 inside IPv6 (fault 50)."""
    for address in [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.8.9.10",
        "169.254.169.254",
        "172.31.0.1",
        "192.168.1.1",
        "192.0.0.8",
        "198.18.0.1",
        "203.0.113.7",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:34.117.59.81",
        "::ffff:0:34.117.59.81",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "fc00::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "2606:4700::1%1",
        "0x7f.1",
        "2130706433",
        "",
    ]:
        assert not is_public(address), address


@pytest.mark.parametrize("address", ["34.117.59.81", "8.8.8.8", "2606:4700::1", "2a00:1450:4001::200e"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    """IPv4 and IPv6 as a CDN has them."""
    assert ip_address(address).is_global
    assert is_public(address)


def plan(**changes: str) -> Plan:
    """What is decided of a portrait that fal completed."""
    return decide(training(), Completed(Artifacts(**{"lora_url": LORA, **changes})), START, None, invented=INVENTED)


def weighed(
    look: ArtifactLook | None,
    check: ArtifactCheck = ArtifactCheck.REQUIRE,
    *,
    failures: int = 0,
    age: timedelta | None = None,
) -> Plan:
    claimed = ClaimedDelivery(Claim(1, 1), failures, "r1", b"", START - (age or timedelta(0)), START)
    return weigh(plan(), look, check, ArtifactPatience(claimed, 10, 0.0), START)


def test_only_what_completes_an_avatar_is_looked_at() -> None:
    """A failure, a repeat and a finetune id ask for no look."""
    assert to_look_at(plan()) == LORA
    assert to_look_at(Plan(Done("already_completed"))) is None
    assert to_look_at(Plan(Done("failed"), Change(TrainingStatus.ERROR, START, error="x"))) is None
    style = training(trainer=Trainer.STYLE)
    finetune = decide(style, Completed(Artifacts(finetune_id="f1")), START, None, invented=INVENTED)
    assert to_look_at(finetune) is None


def test_a_finetune_id_counts_as_seen() -> None:
    """It is a name at fal's and has no URL."""
    style = training(trainer=Trainer.STYLE)
    finetune = decide(style, Completed(Artifacts(finetune_id="f1")), START, None, invented=INVENTED)
    claimed = ClaimedDelivery(Claim(1, 1), 0, "r1", b"", START, START)
    kept = weigh(finetune, None, ArtifactCheck.REQUIRE, ArtifactPatience(claimed, 10, 0.0), START)
    assert (kept.verdict, kept.artifact) == (Done("completed"), ArtifactState.SEEN)


@pytest.mark.parametrize(
    ("look", "check", "state"),
    [
        (SEEN, ArtifactCheck.REQUIRE, ArtifactState.SEEN),
        (SEEN, ArtifactCheck.NOTE, ArtifactState.SEEN),
        (UNREACHABLE, ArtifactCheck.REQUIRE, ArtifactState.UNVERIFIED),
        (UNREACHABLE, ArtifactCheck.NOTE, ArtifactState.UNVERIFIED),
        (ABSENT, ArtifactCheck.NOTE, ArtifactState.ABSENT),
        (None, ArtifactCheck.OFF, None),
    ],
)
def test_what_was_found_travels_with_the_plan(
    look: ArtifactLook | None, check: ArtifactCheck, state: ArtifactState | None
) -> None:
    """The avatar is completed and its owner told; the plan says what is known of the file."""
    found = weighed(look, check)
    assert (found.verdict, found.change, found.notification, found.artifact) == (
        Done("completed"),
        plan().change,
        plan().notification,
        state,
    )


def test_what_is_absent_is_tried_again() -> None:
    """The CDN may lag: nothing is changed, nobody told, and the next look waits longer each time."""
    waits = [weighed(ABSENT, failures=failures).verdict for failures in range(3)]
    assert waits == [Retry(START + timedelta(seconds=wait), "artifact_absent") for wait in (2, 4, 8)]
    assert (weighed(ABSENT).change, weighed(ABSENT).notification) == (None, None)


def test_what_stays_absent_is_the_operator_s() -> None:
    """After RETRY_MAX_ATTEMPTS, or ten minutes after it came (but after three looks); host and cause are named."""
    buried = Bury("artifact_absent", "v3.fal.media: http_404")
    assert weighed(ABSENT, failures=9).verdict == buried
    assert weighed(ABSENT, failures=LEAST_LOOKS - 1, age=LAG).verdict == buried
    assert isinstance(weighed(ABSENT, failures=LEAST_LOOKS - 2, age=LAG).verdict, Retry)
    assert isinstance(weighed(ABSENT, failures=8, age=LAG - timedelta(seconds=1)).verdict, Retry)


def test_what_time_does_not_change_is_buried_at_once() -> None:
    """A URL that may not be asked will not be allowed by waiting."""
    look = ArtifactLook(Sight.ABSENT, "foreign_host", is_lasting=True)
    assert weighed(look).verdict == Bury("artifact_absent", "v3.fal.media: foreign_host")


@given(st.sampled_from(Sight), st.booleans(), st.integers(0, 200), st.integers(0, 10**6))
def test_absent_never_completes(sight: Sight, is_lasting: bool, failures: int, age: int) -> None:
    """However often and however late: under `require` an avatar is completed only with what is not absent."""
    found = weighed(ArtifactLook(sight, "", is_lasting), failures=failures, age=timedelta(seconds=age))
    assert (found.change is None) is (sight is Sight.ABSENT)
    assert (found.notification is None) is (sight is Sight.ABSENT)
