"""When a node starts from a snapshot, from which, and which chunk it asks of whom."""

from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.joining.joining import (
    GROWTH,
    MAX_REFUSED,
    MAX_STRIKES,
    MAX_UNDER_WAY,
    SILENCE_MS,
    SLOW_MS,
    STUCK_MS,
    Fetch,
    JoinSettings,
    Occasion,
    Offered,
    Offers,
    Patience,
    Situation,
    Stand,
    occasion_of,
    room_needed,
    why_useless,
)
from edge.mesh.offers import CHUNK_SIZE, SnapshotManifest
from edge.node.catch_up import FAR_BEHIND
from tangle.anchors import Anchor, ProvenMilestone
from tangle.effects import PeerId
from tangle.hashing import digest
from tangle.transaction import Milestone, TransactionId

ALICE, BOB, CAROL = (PeerId(name * 32) for name in (b"a", b"b", b"c"))
ON = JoinSettings(is_on=True, ahead=100)
OFF = JoinSettings(is_on=False, ahead=100)
ANCHOR = Anchor((), b"milestone")


def stands(**peers: tuple[int, int]) -> Mapping[PeerId, Stand]:
    """Return where peers stand: last milestone, and the oldest cone they keep."""
    names = {"alice": ALICE, "bob": BOB, "carol": CAROL}
    return {names[name]: Stand(*said) for name, said in peers.items()}


def milestone(index: int) -> ProvenMilestone:
    payload = Milestone(index, index, TransactionId(bytes(32)), bytes(32), bytes(32), bytes(32))
    return ProvenMilestone(TransactionId(index.to_bytes(32, "big")), payload, 0)


def manifest(chunks: int, name: bytes = b"file", last: int = 10) -> SnapshotManifest:
    hashes = tuple(digest(name + bytes([number % 256])) for number in range(chunks))
    return SnapshotManifest(ANCHOR, digest(name), (chunks - 1) * CHUNK_SIZE + last, hashes)


# Whether.


@pytest.mark.parametrize(
    ("own", "peers", "wanted"),
    [
        pytest.param(0, stands(alice=(101, 1)), Occasion.NEW, id="new, and far behind"),
        pytest.param(0, stands(alice=(100, 1)), None, id="new, and near enough"),
        pytest.param(1, stands(alice=(500, 1)), None, id="has a history of its own"),
        pytest.param(0, {}, None, id="nobody to ask"),
        pytest.param(50, stands(alice=(90, 52)), Occasion.STRANDED, id="the next cone is pruned"),
        pytest.param(50, stands(alice=(90, 51)), None, id="the next cone is the oldest kept"),
        pytest.param(50, stands(alice=(90, 52), bob=(90, 51)), None, id="one peer keeps it"),
        pytest.param(
            50, stands(alice=(50 + FAR_BEHIND, 60)), None, id="so near that heartbeats are enough"
        ),
        pytest.param(
            0, stands(alice=(500, 400)), Occasion.STRANDED, id="new, and the first are pruned"
        ),
    ],
)
def test_a_node_joins_when_it_is_new_and_far_behind_or_stranded(
    own: int, peers: Mapping[PeerId, Stand], wanted: Occasion | None
) -> None:
    assert occasion_of(Situation(own, peers), ON) is wanted


def test_a_peer_that_only_says_it_keeps_all_does_not_keep_a_node_out_for_ever() -> None:
    peers = stands(alice=(90, 60), bob=(10**6, 1))

    assert occasion_of(Situation(50, peers, STUCK_MS - 1), ON) is None
    assert occasion_of(Situation(50, peers, STUCK_MS), ON) is Occasion.STUCK
    assert occasion_of(Situation(50, stands(alice=(52, 1)), STUCK_MS), ON) is None


def test_a_node_loses_patience_only_while_it_is_far_behind_and_applies_nothing() -> None:
    patience = Patience()
    looks = [
        (50, 50 + FAR_BEHIND, 0, 0),  # near: a coordinator that rests for hours is no reason
        (50, 50 + FAR_BEHIND, 9 * STUCK_MS, 0),
        (50, 90, 10 * STUCK_MS, 0),  # a partition heals: its time does not count
        (50, 91, 10 * STUCK_MS + 700, 700),
        (51, 92, 10 * STUCK_MS + 900, 0),  # cones come
        (51, 93, 10 * STUCK_MS + 950, 50),
        (51, 51, 10 * STUCK_MS + 990, 0),  # whoever said so is gone
        (51, 93, 11 * STUCK_MS, 0),
    ]

    assert [patience.quiet_ms(*look[:3]) for look in looks] == [look[3] for look in looks]


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**6), st.integers(0, 10**6))
def test_a_node_that_is_told_not_to_and_one_that_halted_never_join(
    own: int, confirmed: int, oldest: int, quiet_ms: int
) -> None:
    peers = stands(alice=(confirmed, oldest))

    assert occasion_of(Situation(own, peers, quiet_ms), OFF) is None
    assert occasion_of(Situation(own, peers, quiet_ms, is_halted=True), ON) is None


@pytest.mark.parametrize(
    ("index", "own", "oldest", "occasion", "said"),
    [
        pytest.param(300, 0, 1, Occasion.NEW, None, id="far ahead"),
        pytest.param(101, 0, 1, Occasion.NEW, None, id="just far enough"),
        pytest.param(100, 0, 1, Occasion.NEW, "up to 100 cones", id="not far enough"),
        pytest.param(60, 50, 61, Occasion.STRANDED, None, id="the next cone is kept"),
        pytest.param(60, 50, 62, Occasion.STRANDED, "from 62 on", id="stranded anew"),
        pytest.param(51, 50, 1, Occasion.STUCK, None, id="one milestone helps"),
        pytest.param(50, 50, 1, Occasion.STUCK, "has applied 50", id="of the same milestone"),
        pytest.param(49, 50, 1, Occasion.STRANDED, "has applied 50", id="older than this node"),
    ],
)
def test_a_snapshot_must_help(
    index: int, own: int, oldest: int, occasion: Occasion, said: str | None
) -> None:
    situation = Situation(own, stands(alice=(500, oldest)))

    why = why_useless(index, situation, occasion, ON)

    assert why is None if said is None else why is not None and said in why


def test_without_peers_only_the_own_milestone_counts() -> None:
    assert why_useless(60, Situation(50, {}), Occasion.STRANDED, ON) is None


# From which.

FAR = Situation(0, stands(alice=(900, 1), bob=(900, 1), carol=(900, 1)))


def best(offers: Offers) -> Offered | None:
    return offers.best(FAR, Occasion.NEW, ON)[0]


def test_what_most_hold_comes_before_what_is_newest() -> None:
    offers = Offers()
    offers.heard(ALICE, manifest(2, b"lone"), milestone(800))
    offers.heard(BOB, manifest(2), milestone(700))
    offers.heard(CAROL, manifest(2), milestone(700))
    offers.none(PeerId(b"d" * 32))

    assert best(offers) == Offered(manifest(2), milestone(700), (BOB, CAROL))
    assert offers.sources(manifest(2, b"lone")) == (ALICE,)


def test_among_equals_the_newest_comes_first() -> None:
    offers = Offers()
    offers.heard(ALICE, manifest(2, b"old"), milestone(700))
    offers.heard(BOB, manifest(2, b"new"), milestone(800))

    found = best(offers)

    assert found is not None
    assert found.milestone.index == 800


def test_one_file_hash_over_other_chunks_is_another_file() -> None:
    honest = manifest(2)
    forged = SnapshotManifest(ANCHOR, honest.file_hash, honest.size_bytes, honest.chunks[::-1])
    offers = Offers()
    offers.heard(ALICE, forged, milestone(800))
    offers.heard(BOB, honest, milestone(800))

    offers.refuse(forged, "the chunks do not make the file")

    found = best(offers)
    assert found is not None
    assert found.manifest == honest
    assert found.sources == (BOB,)


def test_a_refused_file_is_never_chosen_again_and_one_set_aside_not_this_time() -> None:
    offers = Offers()
    for attempt in range(2):
        offers.begin()
        offers.heard(ALICE, manifest(2, b"forged"), milestone(800))
        offers.heard(BOB, manifest(2, b"slow"), milestone(700))
        if attempt == 0:
            offers.refuse(manifest(2, b"forged"), "its roots differ")
        assert best(offers) == Offered(manifest(2, b"slow"), milestone(700), (BOB,))
        offers.set_aside(manifest(2, b"slow"), "nobody gives the rest")

        found, useless = offers.best(FAR, Occasion.NEW, ON)

        assert found is None
        assert sorted(useless) == ["its roots differ", "nobody gives the rest"]


def test_what_was_set_aside_is_taken_from_one_more_peer_that_offers_it() -> None:
    offers = Offers()
    offers.heard(ALICE, manifest(2), milestone(800))
    offers.set_aside(manifest(2), "nobody gives the rest")
    assert best(offers) is None

    offers.heard(BOB, manifest(2), milestone(800))

    found = best(offers)
    assert found is not None
    assert found.sources == (ALICE, BOB)


def test_what_is_remembered_of_refused_files_is_bounded() -> None:
    offers = Offers()
    for number in range(MAX_REFUSED + 1):
        offers.refuse(manifest(1, str(number).encode()), "forged")
    offers.refuse(manifest(1, b"5"), "forged")  # known: takes no further place

    offers.heard(ALICE, manifest(1, b"0"), milestone(800))

    assert len(offers._refused) == MAX_REFUSED
    assert best(offers) is not None  # the oldest was forgotten; its sources are distrusted anyway


def test_everyone_is_asked_once_and_who_lied_never_again() -> None:
    offers = Offers()

    assert offers.to_ask([ALICE, BOB]) == [ALICE, BOB]
    assert offers.to_ask([ALICE, BOB, CAROL]) == [CAROL]
    offers.distrust(ALICE)
    offers.begin()

    assert offers.to_ask([ALICE, BOB, CAROL]) == [BOB, CAROL]


def test_offers_are_complete_when_those_who_are_there_have_answered() -> None:
    offers = Offers()
    offers.to_ask([ALICE, BOB, CAROL])

    offers.none(ALICE)
    offers.heard(BOB, manifest(1), milestone(800))

    assert not offers.are_complete([ALICE, BOB, CAROL])
    assert offers.are_complete([ALICE, BOB])
    assert [offers.is_awaited(one) for one in (ALICE, BOB, CAROL)] == [False, False, True]
    offers.distrust(CAROL)
    assert offers.are_complete([ALICE, BOB, CAROL])


def test_an_offer_of_who_lied_is_forgotten() -> None:
    offers = Offers()
    offers.heard(ALICE, manifest(1), milestone(800))

    offers.distrust(ALICE)

    assert best(offers) is None
    assert offers.best(FAR, Occasion.NEW, ON) == (None, [])


# Which chunk of whom.


def test_all_peers_are_asked_at_once_each_for_chunks_of_its_own() -> None:
    fetch = Fetch(manifest(40), (), 0)

    asks = fetch.plan([ALICE, BOB], 0)

    assert [one.peer for one in asks] == [ALICE, BOB]
    assert [one.numbers for one in asks] == [
        tuple(range(MAX_UNDER_WAY)),
        tuple(range(MAX_UNDER_WAY, 2 * MAX_UNDER_WAY)),
    ]
    assert fetch.plan([ALICE, BOB], 1) == ()


def test_what_is_here_is_not_asked_for() -> None:
    fetch = Fetch(manifest(4), {0, 2}, 0)

    (ask,) = fetch.plan([ALICE], 0)

    assert ask.numbers == (1, 3)
    assert fetch.fetched_bytes == 2 * CHUNK_SIZE


def test_only_what_was_asked_of_a_peer_is_awaited_from_it() -> None:
    fetch = Fetch(manifest(20), (), 0)
    fetch.plan([ALICE, BOB], 0)

    assert fetch.is_awaited(ALICE, 0)
    assert not fetch.is_awaited(BOB, 0)
    assert not fetch.is_awaited(CAROL, 0)
    fetch.took(ALICE, 0, 1)
    assert not fetch.is_awaited(ALICE, 0)


def test_chunks_of_a_silent_peer_are_asked_of_another() -> None:
    fetch = Fetch(manifest(MAX_UNDER_WAY + 2), (), 0)
    fetch.plan([ALICE, BOB], 0)
    for number in (8, 9):
        fetch.took(BOB, number, 10)

    asks = fetch.plan([ALICE, BOB], SILENCE_MS)

    assert {number for one in asks for number in one.numbers} == set(range(MAX_UNDER_WAY))
    assert asks[0].peer == BOB, "who was silent comes last"


def test_a_peer_that_stays_silent_is_asked_no_more_and_then_nobody_is_left() -> None:
    fetch = Fetch(manifest(1), (), 0)

    for strike in range(MAX_STRIKES):
        assert fetch.plan([ALICE], strike * SILENCE_MS), strike

    assert fetch.plan([ALICE], MAX_STRIKES * SILENCE_MS) == ()
    assert fetch.source_count == 0


def test_a_chunk_clears_the_strikes_of_a_peer() -> None:
    fetch = Fetch(manifest(2), (), 0)
    for strike in range(MAX_STRIKES):
        fetch.plan([ALICE], strike * SILENCE_MS)

    came_ms = MAX_STRIKES * SILENCE_MS - 1
    fetch.took(ALICE, 0, came_ms)

    assert fetch.plan([ALICE], came_ms + SILENCE_MS - 1) == ()
    assert fetch.plan([ALICE], came_ms + SILENCE_MS), "its first silence again, not its last"
    assert fetch.source_count == 1


def test_an_idle_peer_helps_a_slow_one_at_the_end() -> None:
    fetch = Fetch(manifest(2), (), 0)
    fetch.plan([ALICE], 0)

    assert fetch.plan([ALICE, BOB], SLOW_MS - 1) == ()
    (help_,) = fetch.plan([ALICE, BOB], SLOW_MS)
    fetch.took(BOB, 0, SLOW_MS + 1)

    assert (help_.peer, help_.numbers) == (BOB, (0, 1))
    assert not fetch.is_awaited(ALICE, 0)
    assert fetch.is_awaited(ALICE, 1)


def test_a_liar_and_who_went_away_are_asked_no_more_and_others_get_their_chunks() -> None:
    fetch = Fetch(manifest(3 * MAX_UNDER_WAY), (), 0)
    fetch.plan([ALICE, BOB, CAROL], 0)
    for number in range(2 * MAX_UNDER_WAY, 3 * MAX_UNDER_WAY):
        fetch.took(CAROL, number, 1)

    fetch.drop(ALICE)
    (ask,) = fetch.plan([ALICE, CAROL], 2)

    assert ask.peer == CAROL
    assert fetch.source_count == 1


def test_the_estimate_counts_what_came_in_this_run() -> None:
    fetch = Fetch(manifest(5, last=CHUNK_SIZE), {0, 1}, 1_000)
    assert fetch.estimate_ms(2_000) is None
    fetch.plan([ALICE], 1_000)

    fetch.took(ALICE, 2, 2_000)

    assert fetch.estimate_ms(1_000) is None
    assert fetch.estimate_ms(2_000) == 2_000


def test_room_is_needed_for_the_file_and_what_it_becomes() -> None:
    assert room_needed(manifest(3)) >= (1 + GROWTH) * manifest(3).size_bytes


@given(st.integers(0, 2**32), st.integers(1, 60), st.sets(st.integers(0, 59)))
def test_whatever_is_lost_a_fetch_ends_complete_while_one_peer_is_honest(
    seed: int, chunks: int, have: set[int]
) -> None:
    """One peer gives all, one loses most, one says nothing, one lies at once."""
    rng, now_ms = Random(seed), 0
    here = {number for number in have if number < chunks}
    fetch = Fetch(manifest(chunks), here, now_ms)
    liar = PeerId(b"l" * 32)
    peers = [ALICE, BOB, CAROL, liar]

    for _ in range(10_000):
        if fetch.is_complete:
            break
        asks, before = fetch.plan(peers, now_ms), frozenset(here)
        for ask in asks:
            assert len(ask.numbers) <= MAX_UNDER_WAY
            assert before.isdisjoint(ask.numbers)
            for number in ask.numbers:
                if ask.peer == liar:
                    fetch.drop(liar)
                arrives = ask.peer == ALICE or (ask.peer == BOB and rng.random() < 0.2)
                if arrives and fetch.is_awaited(ask.peer, number):
                    fetch.took(ask.peer, number, now_ms)
                    here.add(number)
        now_ms += rng.randrange(1, SILENCE_MS)

    assert fetch.is_complete
    assert here == set(range(chunks))
    assert fetch.fetched_bytes == fetch.manifest.size_bytes


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_with_silent_peers_alone_a_fetch_ends_as_well(seed: int, chunks: int) -> None:
    rng, now_ms = Random(seed), 0
    fetch = Fetch(manifest(chunks), (), now_ms)

    for _ in range(100):
        fetch.plan([ALICE, BOB], now_ms)
        if not fetch.source_count:
            break
        now_ms += rng.randrange(SILENCE_MS // 2, SILENCE_MS)

    assert fetch.source_count == 0
    assert not fetch.is_complete
