"""The simulation must be able to fail: each planted fault is caught, and by the right check."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs
from typing_extensions import override

from access.device import CONTRACT as DEVICE
from coordinator.lock import Lock
from energy.transfer import CONTRACT as TRANSFER
from energy.transfer import Transfer, TransferEeuro
from tangle.accounts import Token, balance, balance_key, balance_row
from tangle.contracts import Changed, Context, by_name
from tangle.effects import Attached, Confirmed, Effect, Instant, PeerId
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
from tests.community import CONTRACTS, forged
from tests.simulation import adversaries, trouble
from tests.simulation.cosigned import CoSignedWorld
from tests.simulation.equivocation import equivocation
from tests.simulation.invariants import BrokenRuleError, Rule
from tests.simulation.mixtures import Scenario, meet, play
from tests.simulation.nodes import SimulatedNode
from tests.simulation.test_network import verify_outcome
from tests.simulation.weather import CALM
from tests.simulation.world import World
from tip_selection import cover

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


def another_order(number: int, genesis: Genesis, kept: Restored | None) -> NodeCore:
    """One node reports the outcomes of a milestone in another order."""
    core = NodeCore(genesis, CONTRACTS, kept)
    preview = core.ledger.preview

    def shuffled(ordered: Iterable[Verified], index: int, timestamp_ms: int) -> LedgerDiff:
        diff = preview(ordered, index, timestamp_ms)
        return replace(diff, outcomes=diff.outcomes[::-1])

    if number == FAULTY:
        core.ledger.preview = shuffled  # type: ignore[method-assign] # the planted fault
    return core


class Repeating(NodeCore):
    """Confirms each milestone twice."""

    @override
    def receive(self, peer: PeerId, data: bytes, now: Instant) -> list[Effect]:
        effects = super().receive(peer, data, now)
        return [*effects, *(one for one in effects if isinstance(one, Confirmed))]


class Garbling(NodeCore):
    """Passes on what it hears under another witness."""

    @override
    def receive(self, peer: PeerId, data: bytes, now: Instant) -> list[Effect]:
        effects = super().receive(peer, data, now)
        return [
            structs.replace(one, data=forged(one.data))
            if isinstance(one, Attached) and not one.is_milestone
            else one
            for one in effects
        ]


def one_is(kind: type[NodeCore]) -> Build:
    """Return how one node gets a core of another kind."""

    def build(number: int, genesis: Genesis, kept: Restored | None) -> NodeCore:
        return (kind if number == FAULTY else NodeCore)(genesis, CONTRACTS, kept)

    return build


def broken(world: World) -> Rule | None:
    """Return which rule a run breaks, if any."""
    try:
        verify_outcome(play(world))
    except BrokenRuleError as error:
        return error.rule
    return None


def first_broken(worlds: Iterable[World]) -> Rule | None:
    """Return the first rule that is broken in one of a few worlds."""
    return next((rule for world in worlds if (rule := broken(world)) is not None), None)


def caught(build: Build, *scenarios: Scenario) -> Rule | None:
    """Return by which rule one of a few seeds notices a fault."""
    return first_broken(meet(World(seed, nodes=NODES, core_of=build), *scenarios) for seed in SEEDS)


@pytest.mark.parametrize(
    ("build", "rule"),
    [
        pytest.param(wrong_order, Rule.UNHALTED, id="wrong order"),
        pytest.param(another_order, Rule.SAME_ORDER, id="another order"),
        pytest.param(skipped_conflict, Rule.CONSERVATION, id="skipped conflict, everywhere"),
        pytest.param(skipped_conflict_on_one, Rule.UNHALTED, id="skipped conflict, on one node"),
        pytest.param(one_is(Repeating), Rule.REFERENCED_ONCE, id="confirmed twice"),
        pytest.param(one_is(Garbling), Rule.UNBLAMED, id="another witness passed on"),
    ],
)
def test_a_planted_fault_is_caught(build: Build, rule: Rule) -> None:
    assert caught(build) is rule


def test_a_child_lost_for_good_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "_catch_up", lambda *_: None)

    assert caught(lost_child) is Rule.SETTLED


def test_a_lost_child_comes_back_with_its_cone() -> None:
    assert caught(lost_child) is None


def test_a_node_that_follows_a_root_that_is_not_its_own_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tangle.milestones.contradictions", lambda *_: [])

    assert caught(skipped_conflict_on_one) is Rule.SAME_ROOTS


def test_an_act_that_counts_twice_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(window: SequenceWindow, _: int) -> SequenceWindow:
        return window

    monkeypatch.setattr("tangle.ledger.use", forgetful)

    assert caught(sound) is Rule.APPLIED_ONCE


def test_a_coordinator_that_leaves_tips_behind_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordinator.issuer.select_heaviest_branch", lambda *_: ())
    monkeypatch.setattr("coordinator.issuer.merging_checkpoints", lambda *_: [])

    assert caught(sound) is Rule.IN_TIME


def test_a_coordinator_without_turns_starves_others_under_spam(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cover, "TURN", 10**9)
    worlds = (meet(World(seed, NODES, weather=CALM), adversaries.spam) for seed in SEEDS)

    assert first_broken(worlds) is Rule.IN_TIME


def test_a_journal_that_loses_a_row_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = SimulatedNode.journal

    def forgetful(node: SimulatedNode, confirmed: Confirmed) -> None:
        kept = {k: v for k, v in confirmed.changes.items() if not k.startswith(b"sequence/")}
        journal(node, replace(confirmed, changes=kept))

    monkeypatch.setattr(SimulatedNode, "journal", forgetful)

    assert caught(sound, trouble.crashes) is Rule.DURABLE


def test_evidence_that_nobody_hears_of_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tangle.node._by_id", lambda _: {})

    assert caught(sound, equivocation) is Rule.EVIDENCE


def test_a_room_without_a_limit_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "limit_waiting", lambda *_: None)

    assert caught(sound, adversaries.orphans) is Rule.BOUNDED


class ForgetfulWorld(CoSignedWorld):
    """Neither the leader nor its co-signers find their locks after a restart."""

    @override
    def _start(self, node: SimulatedNode) -> None:
        index, milestone_id, _ = node.head
        lost = Lock(self.lock.network, index, milestone_id, b"")
        if node.number == 0:
            self.lock = lost
            for number in self.locks:
                self.locks[number] = lost
                self._take_up(self.nodes[number])
        super()._start(node)


def test_a_co_signer_that_signs_twice_is_caught() -> None:
    weather = replace(CALM, hesitation=0.3)
    worlds = (ForgetfulWorld(seed, issue_ms=30_000, weather=weather) for seed in SEEDS)

    assert first_broken(worlds) is Rule.SIGNED_ONCE


def test_every_rule_has_its_fault() -> None:
    text = Path(__file__).read_text("utf-8")

    assert [rule.name for rule in Rule if f"Rule.{rule.name}" not in text] == []


def test_without_a_fault_nothing_is_caught() -> None:
    assert caught(sound) is None
