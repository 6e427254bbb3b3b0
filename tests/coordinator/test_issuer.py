"""The issuer: its beat, its lock, and what it does after a restart."""

from random import Random

import pytest

from coordinator.issuer import Behind, Checkpoints, Issue, Issuer, sign_milestone
from coordinator.lock import Lock, decode_lock, encode_lock, first_lock
from tangle.effects import (
    Halted,
)
from tangle.errors import (
    InvalidError,
    MalformedBytesError,
)
from tangle.node import NodeCore
from tangle.transaction import (
    MilestoneWitness,
)
from tests.community import (
    COORDINATOR,
    START_MS,
    key,
)
from tests.tangle.cores import ALICE, EDGE, GENESIS, MAKE, NOW, G, H, at, fresh_core
from tip_selection.view import View


def test_the_issuer_keeps_its_beat_and_a_milestone_over_nothing_is_still_one() -> None:
    core = fresh_core()
    issuer = Issuer(core, (COORDINATOR,), first_lock(GENESIS))
    rng = Random(1)
    issued = []

    for ms in range(0, 10_001, 500):
        view = View(core.graph, core.weights, core.confirmed_index, core.parameters)
        step = issuer.step(at(ms), view, rng)
        if isinstance(step, Issue):
            core.submit(step.data, at(ms))
            issued.append(ms)

    assert issued == [0, 2_000, 4_000, 6_000, 8_000, 10_000]
    assert core.confirmed_index == 6


def view_of(core: NodeCore) -> View:
    return View(core.graph, core.weights, core.confirmed_index, core.parameters)


def started(core: NodeCore, lock: Lock) -> Issuer:
    return Issuer(core, (COORDINATOR,), lock)


def test_a_coordinator_killed_before_it_sent_sends_the_same_bytes_again() -> None:
    core = fresh_core()
    issuer = started(core, first_lock(GENESIS))
    step = issuer.step(at(0), view_of(core), Random(1))
    assert isinstance(step, Issue)
    core.submit(MAKE.transaction(EDGE, 0, (G, H)).data, NOW)

    again = started(core, step.lock).step(at(5_000), view_of(core), Random(2))

    assert isinstance(again, Issue)
    assert again.data == step.data
    assert again.lock == step.lock


def test_a_coordinator_whose_ledger_lags_behind_its_lock_waits() -> None:
    ahead, behind = fresh_core(), fresh_core()
    issuer = started(ahead, first_lock(GENESIS))
    locks = []
    for ms in (0, 2_000):
        step = issuer.step(at(ms), view_of(ahead), Random(1))
        assert isinstance(step, Issue)
        ahead.submit(step.data, at(ms))
        locks.append(step.lock)

    step = started(behind, locks[1]).step(at(4_000), view_of(behind), Random(1))

    assert step == Behind(2, 0)


def test_a_lock_older_than_the_ledger_is_refused() -> None:
    core = fresh_core()
    step = started(core, first_lock(GENESIS)).step(at(0), view_of(core), Random(1))
    assert isinstance(step, Issue)
    core.submit(step.data, at(0))

    with pytest.raises(InvalidError, match="lock at milestone 0, the ledger is at 1"):
        started(core, first_lock(GENESIS))


def test_a_coordinator_stops_when_another_issues_with_its_key() -> None:
    other, ahead, applying = fresh_core(), fresh_core(), fresh_core()
    issuers = [started(core, first_lock(GENESIS)) for core in (ahead, applying)]
    others = started(other, first_lock(GENESIS))
    issued = []
    for ms in (0, 2_000):
        step = others.step(at(ms), view_of(other), Random(1))
        assert isinstance(step, Issue)
        other.submit(step.data, at(ms))
        issued.append(step.data)
        applying.receive(ALICE, step.data, at(ms))
    ahead.receive(ALICE, issued[-1], at(2_000))

    for issuer, core in zip(issuers, (ahead, applying), strict=True):
        with pytest.raises(InvalidError, match="lock at milestone 0, the ledger is at 2"):
            issuer.step(at(4_000), view_of(core), Random(1))


def test_a_halted_coordinator_issues_nothing() -> None:
    core = fresh_core()
    issuer = started(core, first_lock(GENESIS))
    core.halted = Halted(1, H, "a test", ())

    assert issuer.step(at(0), view_of(core), Random(1)) is None
    assert issuer.next_deadline_ms() == at(2_000).wall_ms


def test_many_tips_are_merged_first_unless_there_is_no_time() -> None:
    core = fresh_core()
    for sequence in range(20):
        core.submit(MAKE.transaction(EDGE, sequence, (G, H)).data, NOW)
    issuer = started(core, first_lock(GENESIS))

    merging = issuer.step(at(0), view_of(core), Random(1))
    issuing = issuer.step(at(0), view_of(core), Random(1), may_merge=False)

    assert isinstance(merging, Checkpoints)
    assert len(merging.pairs) == 10
    assert isinstance(issuing, Issue)


def test_after_a_pause_the_beat_starts_anew_instead_of_catching_up_in_a_burst() -> None:
    core = fresh_core()
    issuer = started(core, first_lock(GENESIS))
    issued = []

    for ms in (0, 30_000, 30_500, 31_000, 31_500, 33_000):
        step = issuer.step(at(ms), view_of(core), Random(1))
        if isinstance(step, Issue):
            core.submit(step.data, at(ms))
            issued.append(ms)

    assert issued == [0, 30_000, 31_000, 33_000]


def test_several_keys_sign_in_ascending_order() -> None:
    keys = tuple(sorted((key(1), key(2), key(3)), key=lambda one: one.public, reverse=True))
    core = fresh_core()
    draft = core.draft_milestone((G, H), START_MS + 1)

    witness = sign_milestone(draft, keys).witness

    assert isinstance(witness, MilestoneWitness)
    signers = [one.key for one in witness.signatures]
    assert signers == sorted(signers)
    assert len(signers) == 3


def test_a_lock_survives_its_file_and_no_other_networks_is_taken() -> None:
    core = fresh_core()
    step = started(core, first_lock(GENESIS)).step(at(0), view_of(core), Random(1))
    assert isinstance(step, Issue)
    network = core.rules.network

    assert decode_lock(encode_lock(step.lock), network) == step.lock
    assert decode_lock(encode_lock(first_lock(GENESIS)), network).index == 0
    with pytest.raises(InvalidError, match="network"):
        decode_lock(encode_lock(step.lock), b"another!")
    with pytest.raises(MalformedBytesError):
        decode_lock(encode_lock(step.lock)[:-1], network)
    torn = Lock(network, 1, H, step.lock.data)
    with pytest.raises(InvalidError, match="its milestone is not"):
        decode_lock(encode_lock(torn), network)
