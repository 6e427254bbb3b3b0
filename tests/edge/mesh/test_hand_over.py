"""The queues between the loop and the threads: bounded, in order, with a rule for overflow."""

import asyncio
import threading
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.mesh.hand_over import Inbox, Limit, Outbox, Parcel
from tangle.effects import PeerId

BOB = PeerId(b"b" * 32)
DEADLINE_S = 60
ROOMY = Limit(frames=100, size=10_000)


def parcel(name: str) -> Parcel:
    """A small letter is a broadcast, a capital one goes to Bob."""
    return Parcel(BOB if name.isupper() else None, name.encode())


def drain(outbox: Outbox) -> str:
    return "".join(one.data.decode() for _ in range(len(outbox)) if (one := outbox.take()))


@pytest.mark.parametrize(
    ("posted", "left"),
    [
        pytest.param("aBc", "aBc", id="all fit, in order"),
        pytest.param("abcd", "bcd", id="the oldest broadcast goes"),
        pytest.param("aBCd", "BCd", id="directed ones stay, the broadcast goes"),
        pytest.param("ABcD", "ABD", id="the broadcast goes from the middle"),
        pytest.param("ABCd", "ABC", id="a broadcast that finds only directed ones goes itself"),
        pytest.param("ABCD", "BCD", id="only directed ones: the oldest goes"),
    ],
)
def test_a_full_outbox_of_three_keeps(posted: str, left: str) -> None:
    outbox = Outbox(Limit(frames=3, size=1_000))

    dropped = sum(outbox.put(parcel(name)) for name in posted)

    assert drain(outbox) == left
    assert dropped == len(posted) - len(left)


def test_an_outbox_is_bounded_in_bytes_too() -> None:
    outbox = Outbox(Limit(frames=100, size=10))
    for size in (4, 4):
        outbox.put(Parcel(None, bytes(size)))

    dropped = outbox.put(Parcel(None, bytes(9)))

    assert dropped == 2
    assert len(outbox) == 1


def test_what_was_taken_makes_room() -> None:
    outbox = Outbox(Limit(frames=100, size=10))

    dropped = 0
    for _ in range(5):
        dropped += outbox.put(Parcel(None, bytes(10)))
        outbox.take()

    assert dropped == 0


@given(st.lists(st.sampled_from("aB-"), max_size=60), st.integers(1, 5))
def test_an_outbox_does_as_the_rule_says_in_any_history(history: list[str], frames: int) -> None:
    outbox = Outbox(Limit(frames=frames, size=10_000))
    model: deque[str] = deque()

    for step in history:
        if step == "-" and model:
            taken = outbox.take()
            assert taken is not None
            assert taken.data.decode() == model.popleft()
        elif step != "-":
            outbox.put(parcel(step))
            model.append(step)
            if len(model) > frames:
                model.remove("a" if "a" in model else "B")

    assert drain(outbox) == "".join(model)


def test_a_closed_outbox_gives_what_it_holds_and_takes_nothing_in() -> None:
    outbox = Outbox(ROOMY)
    outbox.put(parcel("a"))
    outbox.close()

    refused = outbox.put(parcel("b"))

    assert refused == 1
    assert outbox.take() == parcel("a")
    assert outbox.take() is None


def test_a_cleared_outbox_says_what_it_dropped() -> None:
    outbox = Outbox(Limit(frames=3, size=3))
    for name in "aBc":
        outbox.put(parcel(name))

    assert outbox.clear() == 3
    assert [outbox.put(parcel(name)) for name in "def"] == [0, 0, 0]


def test_a_thread_that_waits_for_a_parcel_is_woken() -> None:
    outbox = Outbox(ROOMY)
    taken: list[Parcel | None] = []
    thread = threading.Thread(target=lambda: taken.extend([outbox.take(), outbox.take()]))
    thread.start()

    outbox.put(parcel("a"))
    outbox.close()
    thread.join(DEADLINE_S)

    assert taken == [parcel("a"), None]


async def take_until(inbox: Inbox, count: int, limit: Limit) -> list[list[bytes]]:
    """Take batches until `count` frames came."""
    batches: list[list[bytes]] = []
    async with asyncio.timeout(DEADLINE_S):
        while sum(map(len, batches)) < count:
            await inbox.wait_ready()
            if batch := inbox.take(limit):
                batches.append(batch)
    return batches


@pytest.mark.parametrize(
    "limit",
    [
        pytest.param(Limit(frames=2, size=1_000), id="frames"),
        pytest.param(Limit(frames=1_000, size=2), id="bytes"),
    ],
)
def test_a_full_inbox_makes_the_thread_wait_and_loses_nothing(limit: Limit) -> None:
    async def scenario() -> None:
        inbox = Inbox(asyncio.get_running_loop(), limit)
        frames = [bytes([n]) for n in range(50)]
        thread = threading.Thread(target=inbox.put, args=(frames,))
        thread.start()

        batches = await take_until(inbox, 50, ROOMY)
        thread.join(DEADLINE_S)

        assert [frame for batch in batches for frame in batch] == frames
        assert max(map(len, batches)) <= 2
        assert len(inbox) == 0

    asyncio.run(scenario())


def test_a_batch_is_bounded_but_never_empty() -> None:
    async def scenario() -> None:
        inbox = Inbox(asyncio.get_running_loop(), ROOMY)
        inbox.put([bytes(9), bytes(2), bytes(2), bytes(2), b"", b"", b"", b""])

        batches = await take_until(inbox, 8, Limit(frames=3, size=5))

        assert [[len(frame) for frame in batch] for batch in batches] == [
            [9],
            [2, 2],
            [2, 0, 0],
            [0, 0],
        ]

    asyncio.run(scenario())


def test_closing_releases_the_thread_and_the_loop() -> None:
    async def scenario() -> None:
        inbox = Inbox(asyncio.get_running_loop(), Limit(frames=1, size=1_000))
        answers: list[bool] = []
        thread = threading.Thread(target=lambda: answers.append(inbox.put([b"a", b"b", b"c"])))
        thread.start()
        async with asyncio.timeout(DEADLINE_S):
            await inbox.wait_ready()

        inbox.close()
        thread.join(DEADLINE_S)
        inbox.take(ROOMY)

        async with asyncio.timeout(DEADLINE_S):
            await inbox.wait_ready()
        assert answers == [False]

    asyncio.run(scenario())
