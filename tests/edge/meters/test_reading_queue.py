"""The line in front of the node: a meter that posts too much waits behind itself."""

from hypothesis import given
from hypothesis import strategies as st

from edge.meters.reading_queue import ReadingQueue
from tangle.address import Address

NOISY, *QUIET = (Address(bytes([number]) * 32) for number in range(6))


def test_a_meter_that_posts_a_hundred_times_too_often_delays_no_other() -> None:
    queue = ReadingQueue(limit=1_000)
    for number in range(500):
        queue.add(NOISY, b"%d" % number)
    for device in QUIET:
        queue.add(device, b"one")

    first = queue.take(2 * (1 + len(QUIET)))

    assert {device for device, _ in first[: 1 + len(QUIET)]} == {NOISY, *QUIET}


def test_what_overflows_is_the_newest_of_who_has_most() -> None:
    queue = ReadingQueue(limit=5)
    for number in range(5):
        queue.add(NOISY, b"%d" % number)

    assert queue.add(QUIET[0], b"a") == (NOISY, b"4")
    assert queue.add(QUIET[0], b"b") == (NOISY, b"3")
    assert queue.add(NOISY, b"5") == (NOISY, b"5")
    assert len(queue) == 5


@given(
    st.lists(st.tuples(st.sampled_from([NOISY, *QUIET]), st.binary(max_size=2)), max_size=80),
    st.integers(1, 40),
    st.integers(1, 9),
)
def test_each_meter_keeps_its_order_and_nothing_is_lost_unsaid(
    posted: list[tuple[Address, bytes]], limit: int, most: int
) -> None:
    queue = ReadingQueue(limit)
    kept: dict[Address, list[bytes]] = {device: [] for device, _ in posted}
    for device, payload in posted:
        kept[device].append(payload)
        gone = queue.add(device, payload)
        if gone is not None:
            assert kept[gone[0]].pop() == gone[1]

    taken: dict[Address, list[bytes]] = {device: [] for device, _ in posted}
    while portion := queue.take(most):
        assert len(portion) <= most
        for device, payload in portion:
            taken[device].append(payload)

    assert taken == kept
    assert len(queue) == 0
