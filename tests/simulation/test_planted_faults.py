"""The simulation must be able to fail: each planted fault is caught, and by the right check."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from access.device import CONTRACT as DEVICE
from energy.transfer import CONTRACT as TRANSFER
from energy.transfer import Transfer, TransferEeuro
from tangle.accounts import Token, balance, balance_key, balance_row
from tangle.contracts import Changed, Context, by_name
from tangle.genesis import Genesis
from tangle.ledger import LedgerDiff
from tangle.node import NodeCore
from tangle.outcomes import Reason
from tangle.restored import Restored
from tangle.rows import RowReader
from tangle.sequences import SequenceWindow
from tangle.transaction import TransactionId
from tangle.verification import Verified
from tangle.waiting import Arrival
from tests.community import CONTRACTS
from tests.simulation.test_network import verify_outcome
from tests.simulation.world import World

FAULTY = 3
SEEDS = range(5)
NODES = 8

Build = Callable[[int, Genesis, Restored | None], NodeCore]


def sound(_: int, genesis: Genesis, kept: Restored | None) -> NodeCore:
    return NodeCore(genesis, CONTRACTS, kept)


def wrong_order(number: int, genesis: Genesis, kept: Restored | None) -> NodeCore:
    """One node applies a milestone's cone backwards."""
    core = NodeCore(genesis, CONTRACTS, kept)
    preview = core.ledger.preview

    def backwards(ordered: Iterable[Verified], index: int, timestamp_ms: int) -> LedgerDiff:
        return preview(reversed(list(ordered)), index, timestamp_ms)

    if number == FAULTY:
        core.ledger.preview = backwards  # type: ignore[method-assign] # the planted fault
    return core


def lost_child(number: int, genesis: Genesis, kept: Restored | None) -> NodeCore:
    """One node forgets what waited for a missing parent when the parent comes."""
    core = NodeCore(genesis, CONTRACTS, kept)
    if number == FAULTY:
        release = core._waiting.release

        def forgetful(parent_id: TransactionId) -> list[Arrival]:
            release(parent_id)
            return []

        core._waiting.release = forgetful  # type: ignore[method-assign] # the planted fault
    return core


def _without_funds(rows: RowReader, call: Transfer, context: Context) -> Changed | Reason:
    """Pay what is asked even when the payer has too little: the conflict is skipped."""
    decided = TRANSFER.apply(rows, call, context)
    if decided is not Reason.INSUFFICIENT_EEURO:
        return decided
    assert isinstance(call, TransferEeuro)
    received = balance(rows, Token.EEURO, call.to) + call.amount_ueur
    return Changed({balance_key(Token.EEURO, call.to): balance_row(received)})


def skipped_conflict(_: int, genesis: Genesis, kept: Restored | None) -> NodeCore:
    """All nodes, the coordinator too, agree on paying what is not there."""
    return NodeCore(genesis, by_name(replace(TRANSFER, apply=_without_funds), DEVICE), kept)


def skipped_conflict_on_one(number: int, genesis: Genesis, kept: Restored | None) -> NodeCore:
    """One node alone pays what is not there."""
    if number == FAULTY:
        return skipped_conflict(number, genesis, kept)
    return NodeCore(genesis, CONTRACTS, kept)


def caught(build: Build) -> str:
    """Return by which check one of a few seeds notices a fault."""
    for seed in SEEDS:
        world = World(seed, nodes=NODES, core_of=build)
        try:
            world.run()
            verify_outcome(world)
        except AssertionError as error:
            return str(error)
    return "not caught"


@pytest.mark.parametrize(
    ("build", "noticed"),
    [
        pytest.param(wrong_order, f"{FAULTY}@", id="wrong order"),
        pytest.param(lost_child, "not settled", id="lost child"),
        pytest.param(skipped_conflict, "µEUR at milestone", id="skipped conflict, everywhere"),
        pytest.param(skipped_conflict_on_one, f"{FAULTY}@", id="skipped conflict, on one node"),
    ],
)
def test_a_planted_fault_is_caught(build: Build, noticed: str) -> None:
    assert noticed in caught(build)


def test_an_act_that_counts_twice_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(window: SequenceWindow, _: int) -> SequenceWindow:
        return window

    monkeypatch.setattr("tangle.ledger.use", forgetful)

    assert "an act counted twice" in caught(
        lambda _, genesis, kept: NodeCore(genesis, CONTRACTS, kept)
    )


def test_without_a_fault_nothing_is_caught() -> None:
    assert caught(sound) == "not caught"
