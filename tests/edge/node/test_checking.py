"""Phase 1 in batches beside the loop: the core's own verdicts, in order, and bounded."""

import asyncio
from collections.abc import Callable

import pytest

from edge.node.checking import CHUNK, FEW, MOST_UNDER_WAY, Checked, Checking, check
from edge.node.fair_queue import Queued
from tangle.effects import Misbehaved
from tangle.errors import BadSignatureError, InvalidError
from tangle.verification import Verified, parse
from tests.community import Maker, forged, with_parameters
from tests.tangle.cores import ALICE, EDGE, GENESIS, MAKE, NOW, G, H, fresh_core, milestone

RULES = fresh_core().rules


def queued(verified: Verified) -> Queued:
    return Queued(ALICE, EDGE.public, verified)


def chain(count: int) -> list[Verified]:
    return [MAKE.transaction(EDGE, number, (G, H)) for number in range(count)]


def spoilt() -> list[Verified]:
    """Return what breaks a rule each, between what breaks none."""
    good = chain(4)
    foreign = Maker(with_parameters(GENESIS, max_depth=3)).transaction(EDGE, 9, (G, H))
    return [good[0], parse(forged(good[1].data)), good[2], foreign, good[3]]


def errors(checked: list[Checked]) -> list[type[InvalidError] | None]:
    return [None if one.error is None else type(one.error) for one in checked]


def through(threads: int | None) -> Callable[[list[list[Verified]]], list[list[Checked]]]:
    """Return what puts batches through a `Checking` with so many threads."""

    async def run(batches: list[list[Verified]]) -> list[list[Checked]]:
        checking = Checking(RULES, threads)
        try:
            async with asyncio.TaskGroup() as group:

                async def put_all() -> None:
                    for batch in batches:
                        await checking.put([queued(one) for one in batch])

                group.create_task(put_all())
                return [await checking.take() for _ in batches]
        finally:
            checking.close()

    return lambda batches: asyncio.run(run(batches))


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_every_path_says_what_the_core_itself_says(threads: int) -> None:
    batch = spoilt()
    told = [fresh_core().receive(ALICE, one.data, NOW)[0] for one in batch]
    wanted = [type(one.error) if isinstance(one, Misbehaved) else None for one in told]

    (found,) = through(threads)([batch])

    assert wanted.count(None) == 3
    assert BadSignatureError in wanted
    assert errors(found) == wanted
    assert errors(check([queued(one) for one in batch], RULES)) == wanted
    assert [one.queued.verified for one in found] == batch


def test_batches_come_back_in_the_order_in_which_they_were_put() -> None:
    made = chain(5 * CHUNK)
    batches = [made[: 3 * CHUNK + 5], made[3 * CHUNK + 5 : -1], made[-1:], []]

    found = through(2)(batches)

    assert [[one.queued.verified for one in batch] for batch in found] == batches
    assert {one.error for batch in found for one in batch} == {None}


def test_a_milestone_passes_for_the_state_to_judge() -> None:
    core = fresh_core()
    issued = milestone(core, (H,), 10)

    (found,) = through(1)([[parse(forged(issued.data))]])

    assert errors(found) == [None]


def test_no_more_than_two_batches_are_under_way() -> None:
    async def scenario() -> None:
        checking = Checking(RULES, 1)
        try:
            for _ in range(MOST_UNDER_WAY):
                await checking.put([queued(one) for one in chain(2)])
            third = asyncio.ensure_future(checking.put([queued(one) for one in chain(2)]))
            for _ in range(5):
                await asyncio.sleep(0)
            assert not third.done()

            await checking.take()
            await third

            assert [len(await checking.take()) for _ in range(MOST_UNDER_WAY)] == [2, 2]
        finally:
            checking.close()

    asyncio.run(scenario())


def test_little_is_judged_at_once_unless_something_is_under_way() -> None:
    async def scenario() -> None:
        checking, inline = Checking(RULES, 1), Checking(RULES, 0)
        few, many = [queued(one) for one in chain(FEW)], [queued(one) for one in chain(FEW + 1)]
        try:
            assert checking.is_for_here(few)
            assert not checking.is_for_here(many)
            assert inline.is_for_here(many)
            assert inline.turn_bytes < checking.turn_bytes

            await checking.put(many)

            assert not checking.is_for_here(few)
            await checking.take()
            assert checking.is_for_here(few)
        finally:
            checking.close()

    asyncio.run(scenario())
