"""A journal that goes on from a snapshot ahead of it: what leaves, what stays, in one commit."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest

from coordinator.issuer import sign_milestone
from edge.joining.snapshots import take_snapshot
from edge.journal import commits
from edge.journal.endings import write_ended
from edge.journal.entries import Batch, TakenReading
from edge.journal.inspection import inspect
from edge.journal.journal import Journal
from edge.journal.offline import open_offline
from edge.journal.rotations import write_rotation
from edge.node.executor import Executor
from tangle.effects import Halted, Instant
from tangle.errors import ForeignStoreError
from tangle.keys import PublicKey
from tangle.node import NodeCore
from tangle.outcomes import Event
from tangle.snapshot import Start, start_of
from tangle.transaction import TransactionId
from tests.community import CONTRACTS, COORDINATOR, START_MS, Maker, edge_key, member_key
from tests.edge.history import Silence, extend, opened
from tests.edge.making import DEVICE
from tests.tangle.anchoring import FIRST_KEYS, SECOND_KEYS, named, rotated
from tests.tangle.cores import GENESIS
from tests.tangle.test_snapshot_rotation import ROTATION

DEPTH = GENESIS.parameters.reference_depth
OWN = edge_key(0)
"""Who issues every third transaction of these histories."""

LATER = Instant(START_MS + 60_000, START_MS + 60_000)
MAKE = Maker(GENESIS)


@dataclass
class Behind:
    """A node that stopped at milestone 30 of a history that went on to 60."""

    folder: Path
    executor: Executor

    @property
    def journal(self) -> Journal:
        return self.executor.journal

    def issue(self, sequence: int, number: int = 0) -> TransactionId:
        """Attach a transaction of this node, or of member `number` − 1."""
        key = OWN if number == 0 else member_key(number - 1)
        made = MAKE.transaction(key, sequence, entry_points_of(self.executor.core))
        self.executor.carry_out(self.executor.core.submit(made.data, LATER), LATER)
        return made.tx_id


def entry_points_of(core: NodeCore) -> tuple[TransactionId, TransactionId]:
    first, second = core.graph.referenced_at(core.confirmed_index)[-2:]
    return first, second


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Behind]:
    journal, core = opened(tmp_path / "behind")
    with journal:
        executor = Executor(core, journal, Silence(), Random(1))
        extend(executor, 30, 3)
        yield Behind(tmp_path / "behind", executor)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """The snapshot of milestone 60."""
    folder = tmp_path_factory.mktemp("ahead")
    journal, core = opened(folder)
    with journal:
        extend(Executor(core, journal, Silence(), Random(1)), 60, 3)
        taken = take_snapshot(folder, core.rules.network, DEPTH)
    assert taken is not None
    return start_of(taken, GENESIS)


def leap(journal: Journal, start: Start, own: PublicKey = OWN.public) -> NodeCore:
    journal.leap_to(GENESIS, start, own)
    return NodeCore(GENESIS, CONTRACTS, journal.restore(GENESIS, DEPTH))


def test_a_journal_that_leapt_is_like_one_that_began_with_the_snapshot(
    behind: Behind, start: Start, tmp_path: Path
) -> None:
    core = leap(behind.journal, start)

    fresh, _ = opened(tmp_path / "fresh")
    with fresh:
        fresh.start_from(GENESIS, start)
        assert behind.journal.counts() == fresh.counts()
        assert behind.journal.oldest_cone() == fresh.oldest_cone() == 61
        assert behind.journal.latest_milestone() == fresh.latest_milestone()
        assert behind.journal.restore(GENESIS, DEPTH) == fresh.restore(GENESIS, DEPTH)
    assert (core.confirmed_index, core.confirmed_id) == (60, start.milestone_id)


def test_an_empty_journal_leaps_too(start: Start, tmp_path: Path) -> None:
    journal, _ = opened(tmp_path / "fresh")
    with journal:
        assert leap(journal, start).confirmed_index == 60


def test_the_node_goes_on_and_its_journal_is_sound(behind: Behind, start: Start) -> None:
    executor = Executor(leap(behind.journal, start), behind.journal, Silence(), Random(1))

    extend(executor, 30, 3)

    network = executor.core.rules.network
    assert executor.core.confirmed_index == 90
    behind.journal.close()
    with open_offline(behind.folder, network) as reader:
        assert inspect(reader, GENESIS, CONTRACTS, signatures=True).faults == []


def test_readings_and_the_count_of_starts_stay(behind: Behind, start: Start) -> None:
    taken = tuple(TakenReading(DEVICE, number, bytes([number])) for number in range(3))
    behind.journal.commit(Batch(readings=taken, counters={"mine": 7}))
    epoch = behind.journal.next_epoch(5)

    leap(behind.journal, start)

    assert behind.journal.readings(DEVICE, 0, 9) == list(taken)
    assert behind.journal.counts().readings == 3
    assert behind.journal.counter("mine") == 7
    assert behind.journal.next_epoch(5) == epoch + 1


def test_changes_of_the_keys_and_ends_of_milestones_are_those_of_the_snapshot(
    behind: Behind, start: Start
) -> None:
    """The journal has lived through the first of them; a signature under it may differ."""
    other = rotated(1, named(SECOND_KEYS), signers=FIRST_KEYS[1:])
    with behind.journal._storage.transaction() as connection:
        write_rotation(connection, 1, other)
        write_ended(connection, 1, (Event("market.expired", ()),))
    changes = (ROTATION, rotated(2, named(FIRST_KEYS), signers=SECOND_KEYS[:2]))

    behind.journal.leap_to(GENESIS, replace(start, rotations=changes), OWN.public)

    assert behind.journal.rotations(100) == changes
    assert behind.journal._storage.table("meta", "WHERE name LIKE 'ended/%'") == []


def test_what_the_node_issued_and_the_ledger_has_not_counted_stays(
    behind: Behind, start: Start
) -> None:
    """Number 30 was used before milestone 60; 500 lies in the window and is open."""
    counted, open_one = behind.issue(30), behind.issue(500)
    foreign = behind.issue(500, number=1)

    core = leap(behind.journal, start)

    assert behind.journal.transaction(counted) is None
    assert behind.journal.transaction(open_one) is not None
    assert behind.journal.transaction(foreign) is None
    assert [one.tx_id for one in behind.journal.own_unreferenced(OWN.public)] == [open_one]
    assert open_one not in core.graph, "its parents are too old: it is issued anew"
    assert behind.journal.counts().pending == 2, "it, and the last milestone"


def test_what_the_snapshot_itself_references_is_not_there_twice(
    behind: Behind, tmp_path: Path
) -> None:
    """A snapshot so near that it references what is pending here."""
    own = behind.issue(500)
    network = behind.executor.core.rules.network
    other, core = opened(tmp_path / "near")
    with other:
        executor = Executor(core, other, Silence(), Random(1))
        extend(executor, 30, 3)
        for data in [stored.data for stored in behind.journal.own_unreferenced(OWN.public)]:
            executor.carry_out(core.submit(data, LATER), LATER)
        extend(executor, 1, 0)
        draft = core.draft_milestone({core.confirmed_id, own}, LATER.ledger_ms)
        signed = sign_milestone(draft, (COORDINATOR,))
        executor.carry_out(core.submit(signed.data, LATER), LATER)
        taken = take_snapshot(tmp_path / "near", network, DEPTH)
    assert taken is not None
    near = start_of(taken, GENESIS)
    assert own in near.cones[-1]

    # Referenced and ignored by its sender's being unknown, it would have used no number.
    rows = {key: value for key, value in near.rows.items() if not key.startswith(b"sequence/")}
    behind.journal.leap_to(GENESIS, replace(near, rows=rows), OWN.public)

    assert behind.journal.is_known(own) == (True, near.index)
    assert near.index == 32


@pytest.mark.parametrize("index", [60, 65])
def test_a_journal_that_is_as_far_or_further_stays_as_it_is(
    behind: Behind, start: Start, index: int
) -> None:
    extend(behind.executor, index - 30, 3)
    before = behind.journal.counts()

    with pytest.raises(ForeignStoreError, match=f"milestone {index}, the snapshot is of 60"):
        behind.journal.leap_to(GENESIS, start, OWN.public)

    assert behind.journal.counts() == before


def test_a_node_that_halted_stays_where_it_is(behind: Behind, start: Start) -> None:
    behind.journal.commit(Batch(halted=Halted(31, TransactionId(bytes(32)), "why", ())))

    with pytest.raises(ForeignStoreError, match="halted"):
        behind.journal.leap_to(GENESIS, start, OWN.public)


def test_a_leap_that_fails_half_way_has_changed_nothing(
    behind: Behind, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = behind.journal.counts(), behind.journal.latest_milestone()

    def fails(*_: object) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr(commits, "_write_known", fails)
    with pytest.raises(OSError, match="no space"):
        behind.journal.leap_to(GENESIS, start, OWN.public)

    assert (behind.journal.counts(), behind.journal.latest_milestone()) == before
    assert behind.journal.oldest_cone() == 1
    monkeypatch.undo()
    assert leap(behind.journal, start).confirmed_index == 60
