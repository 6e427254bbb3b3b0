"""What a pending transaction waits for, and when it may be expected to be referenced."""

import msgspec

from tangle.genesis import Parameters
from tangle.transaction import TransactionId
from tests.tangle.cores import ALICE, EDGE, MAKE, G, H, at, confirm, fresh_core
from tip_selection.checkpoints import MAX_WAITING_TIPS
from tip_selection.outlook import Outlook, WaitsFor, outlook
from tip_selection.view import View


def grown(count: int) -> tuple[View, list[TransactionId]]:
    """Return a tangle with so many tips over the entry points."""
    core = fresh_core()
    made = [MAKE.transaction(EDGE, number, (G, H)) for number in range(count)]
    for one in made:
        core.receive(ALICE, one.data, at(0))
    view = View(core.graph, core.weights, core.confirmed_index, core.parameters)
    return view, [one.tx_id for one in made]


def test_a_tip_waits_for_approval_and_may_be_in_the_next_milestone() -> None:
    view, (tip,) = grown(1)

    assert outlook(view, tip) == Outlook(WaitsFor.APPROVAL, 1)


def test_what_is_approved_waits_for_the_next_milestone() -> None:
    core = fresh_core()
    below = MAKE.transaction(EDGE, 0, (G, H))
    above = MAKE.transaction(EDGE, 1, (G, below.tx_id))
    for one in (below, above):
        core.receive(ALICE, one.data, at(0))
    view = View(core.graph, core.weights, core.confirmed_index, core.parameters)

    assert outlook(view, below.tx_id) == Outlook(WaitsFor.MILESTONE, 1)


def test_a_tip_among_many_may_have_to_wait_for_one_more() -> None:
    few, (first, *_) = grown(MAX_WAITING_TIPS)
    many, (second, *_) = grown(MAX_WAITING_TIPS + 1)

    assert outlook(few, first) == Outlook(WaitsFor.APPROVAL, 1)
    assert outlook(many, second) == Outlook(WaitsFor.BACKLOG, 2)


def test_what_lies_behind_more_than_a_milestone_takes_waits_for_its_turn() -> None:
    view, tips = grown(10)
    small = View(view.graph, view.weights, 0, with_cone(4))

    found = [outlook(small, tip) for tip in tips]

    assert [one.milestone_index for one in found] == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4]
    assert found[0].waits_for is WaitsFor.APPROVAL
    assert found[-1].waits_for is WaitsFor.BACKLOG


def test_below_max_depth_nothing_is_expected() -> None:
    core = fresh_core()
    left = MAKE.transaction(EDGE, 0, (G, H))
    core.receive(ALICE, left.data, at(0))
    for number in range(1, 18):
        confirm(core, core.graph.milestone_id(number - 2) or H, ms=10 * number)
    view = View(core.graph, core.weights, core.confirmed_index, core.parameters)

    assert outlook(view, left.tx_id) == Outlook(WaitsFor.REISSUE, None)


def with_cone(transactions: int) -> Parameters:
    return msgspec.structs.replace(Parameters(), max_cone_transactions=transactions)
