"""Proofs and snapshots of nodes that live through two votes on the coordinator keys."""

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

import msgspec
import pytest
from typer.testing import CliRunner

from api.commands.proof_files import proof_text
from api.contracts import CONTRACTS
from api.main import app
from api.node.proving import address_proof, proved, row_proof, transaction_proof
from api.settings.genesis_file import genesis_text
from edge.joining.snapshots import take_snapshot
from edge.journal.inspection import inspect
from edge.journal.journal import PRUNED_THROUGH, Journal
from edge.journal.offline import open_reader
from edge.journal.storage import JOURNAL_NAME
from edge.node.executor import Executor
from tangle.accounts import COORDINATORS_KEY, CoordinatorKeys, coordinators
from tangle.address import address_of
from tangle.anchors import Anchor, Rotation
from tangle.errors import InvalidProofError, InvalidSnapshotError
from tangle.genesis import network_id
from tangle.node import NodeCore
from tangle.proofs import Proof, decode_proof, encode_proof
from tangle.proven import ProvenRow, ProvenTransaction, verify_proof
from tangle.rows import Rows
from tangle.snapshot import (
    Snapshot,
    decode_snapshot,
    delta_snapshot,
    encode_snapshot,
    merge,
    start_of,
    verify_snapshot,
)
from tests.community import member_key
from tests.edge.history import Silence, extend, opened
from tests.edge.rotating import MILESTONES, THIRD, VOTES, vote_twice
from tests.edge.summing import sum_anew
from tests.tangle.cores import GENESIS

DEPTH = GENESIS.parameters.reference_depth
MEMBER = address_of(member_key(0).public)


def keys_in(row: bytes) -> CoordinatorKeys:
    return coordinators(Rows({COORDINATORS_KEY: row}))


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of a node that saw both votes and keeps all."""
    folder = tmp_path_factory.mktemp("lived")
    journal, core = opened(folder)
    with journal:
        vote_twice(Executor(core, journal, Silence(), Random(1)))
    return folder


@dataclass
class Node:
    """One node at rest."""

    folder: Path
    journal: Journal
    core: NodeCore

    @property
    def snapshot(self) -> Snapshot:
        taken = take_snapshot(self.folder, network_id(GENESIS), DEPTH)
        assert taken is not None
        return decode_snapshot(encode_snapshot(taken))

    def prune(self) -> None:
        """Drop what the rules do not look back on: the milestones of both votes are gone."""
        through = self.core.confirmed_index - DEPTH - 1
        self.journal.set_counter(PRUNED_THROUGH, through)
        while self.journal.prune(through, 100):
            pass

    def transaction(self, index: int) -> Proof:
        """Return the proof of the first transaction under a milestone."""
        proof = transaction_proof(self.journal, self.journal.referenced_by(index)[0].tx_id)
        assert proof is not None
        return proof

    def faults(self) -> list[str]:
        with open_reader(self.folder / JOURNAL_NAME, network_id(GENESIS)) as reader:
            return inspect(reader, GENESIS, CONTRACTS, signatures=True).faults


def joined_from(folder: Path, snapshot: Snapshot) -> tuple[Journal, NodeCore]:
    journal, _ = opened(folder)
    with journal:
        journal.start_from(GENESIS, start_of(snapshot, GENESIS))
    return opened(folder)


@pytest.fixture(params=["archive", "pruned", "joined", "joined from a joined one"])
def node(request: pytest.FixtureRequest, lived: Path, tmp_path: Path) -> Iterator[Node]:
    """A node after both votes, started anew, which then applies some more milestones."""
    with ExitStack() as stack:
        shutil.copytree(lived, tmp_path / "0")
        made = Node(tmp_path / "0", *opened(tmp_path / "0"))
        stack.enter_context(made.journal)
        if request.param != "archive":
            made.prune()
        for hop in range(str(request.param).count("joined")):
            folder = tmp_path / str(hop + 1)
            made = Node(folder, *joined_from(folder, made.snapshot))
            stack.enter_context(made.journal)
        extend(Executor(made.core, made.journal, Silence(), Random(2)), 3, 2, THIRD)
        yield made


def test_every_proof_of_every_node_holds_by_genesis_alone(node: Node) -> None:
    proofs = (
        row_proof(node.core, node.journal, COORDINATORS_KEY),
        row_proof(node.core, node.journal, b"\xff"),
        address_proof(node.core, node.journal, MEMBER),
        node.transaction(MILESTONES + 2),
    )

    for proof in proofs:
        given = proved(proof, GENESIS)
        proven = verify_proof(decode_proof(given.data), GENESIS)

        assert proven == given.proven
        assert proven.milestone.rotations == 2


def test_the_row_of_the_keys_names_the_last_ones(node: Node) -> None:
    proven = verify_proof(row_proof(node.core, node.journal, COORDINATORS_KEY), GENESIS)

    assert isinstance(proven, ProvenRow)
    assert proven.value is not None
    assert set(keys_in(proven.value).keys) == {one.public for one in THIRD}


def test_a_snapshot_of_every_node_holds_by_genesis_alone(node: Node) -> None:
    snapshot = node.snapshot

    milestones = verify_snapshot(snapshot, GENESIS)

    assert len(milestones) == DEPTH
    assert snapshot.rotations == node.journal.rotations(below=MILESTONES)
    assert len(snapshot.rotations) == 2


def test_every_node_finds_its_journal_sound(node: Node) -> None:
    assert node.faults() == []


@pytest.fixture
def archive(lived: Path) -> Iterator[Node]:
    """The node that keeps all, as it is."""
    made = Node(lived, *opened(lived))
    with made.journal:
        yield made


@pytest.mark.parametrize(
    ("index", "rotations"),
    [(9, 0), (VOTES[0], 0), (VOTES[0] + 1, 1), (VOTES[1], 1), (VOTES[1] + 1, 2), (40, 2)],
)
def test_a_proof_shows_the_changes_before_its_milestone_and_no_other(
    archive: Node, index: int, rotations: int
) -> None:
    proven = verify_proof(archive.transaction(index), GENESIS)

    assert isinstance(proven, ProvenTransaction)
    assert (proven.milestone.index, proven.milestone.rotations) == (index, rotations)


def rechained(proof: Proof, rotations: Sequence[Rotation]) -> Proof:
    anchor = Anchor(tuple(rotations), proof.anchor.milestone)
    changed = msgspec.structs.replace(proof, anchor=anchor)
    return decode_proof(encode_proof(changed))  # with a checksum that is right


def test_a_proof_without_its_chain_is_refused(archive: Node) -> None:
    proof = archive.transaction(40)
    stranger = min(one.public for one in THIRD).hex()

    with pytest.raises(InvalidProofError, match=f"milestone: .*{stranger} is no coordinator key"):
        verify_proof(rechained(proof, ()), GENESIS)


@pytest.mark.parametrize("left_out", [0, 1])
def test_a_chain_with_a_link_missing_is_refused(archive: Node, left_out: int) -> None:
    proof = archive.transaction(40)
    chain = [one for at, one in enumerate(proof.anchor.rotations) if at != left_out]

    with pytest.raises(InvalidProofError, match="is no coordinator key"):
        verify_proof(rechained(proof, chain), GENESIS)


def test_a_chain_out_of_order_is_refused(archive: Node) -> None:
    proof = archive.transaction(40)

    with pytest.raises(InvalidProofError, match=r"rotation 0: .*is no coordinator key"):
        verify_proof(rechained(proof, proof.anchor.rotations[::-1]), GENESIS)


def test_a_link_shown_twice_is_refused(archive: Node) -> None:
    proof = archive.transaction(40)
    first, second = proof.anchor.rotations

    with pytest.raises(InvalidProofError, match="rotation 1: the coordinator keys are the same"):
        verify_proof(rechained(proof, (first, first, second)), GENESIS)


@pytest.mark.parametrize("at", [0, 1])
def test_a_chain_with_one_link_forged_is_refused_naming_the_link(archive: Node, at: int) -> None:
    proof = archive.transaction(40)
    chain = list(proof.anchor.rotations)
    chain[at] = Rotation(chain[at].milestone, chain[at].path, chain[1 - at].value)

    with pytest.raises(InvalidProofError, match=rf"rotation {at}: the value of key .* hashes to"):
        verify_proof(rechained(proof, chain), GENESIS)


def test_a_chain_that_goes_on_beyond_the_milestone_is_refused(archive: Node) -> None:
    early, late = archive.transaction(15), archive.transaction(40)

    with pytest.raises(InvalidProofError, match="comes after the rotation under milestone 20"):
        verify_proof(rechained(early, late.anchor.rotations), GENESIS)


@pytest.mark.parametrize("kept", [(), (0,), (1,), (1, 0)])
def test_a_snapshot_whose_chain_was_tampered_with_starts_nobody(
    archive: Node, kept: tuple[int, ...]
) -> None:
    whole = archive.snapshot
    chain = tuple(whole.rotations[at] for at in kept)
    changed = Snapshot(whole.header, whole.rows, (), whole.cones, chain)

    with pytest.raises(InvalidSnapshotError, match="is no coordinator key"):
        start_of(changed, GENESIS)


def test_a_delta_over_a_vote_brings_the_vote(tmp_path: Path) -> None:
    journal, core = opened(tmp_path)
    with journal:
        executor = Executor(core, journal, Silence(), Random(1))
        extend(executor, 5, 2)
        base = Node(tmp_path, journal, core).snapshot
    shutil.rmtree(tmp_path)
    journal, core = opened(tmp_path)
    with journal:
        vote_twice(Executor(core, journal, Silence(), Random(1)))
        later = Node(tmp_path, journal, core).snapshot

    merged = merge(base, delta_snapshot(base, later))

    assert len(verify_snapshot(merged, GENESIS)) == DEPTH
    assert len(merged.rotations) == 2


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("DELETE FROM meta WHERE name LIKE 'rotation/%20'", "do not lead to those of the ledger"),
        ("DELETE FROM meta WHERE name LIKE 'rotation/%10'", "rotations: .*no coordinator key"),
        ("UPDATE meta SET value = x'00' WHERE name LIKE 'rotation/%10'", "rotations: "),
    ],
)
def test_a_journal_that_lost_a_change_of_the_keys_is_found_out(
    archive: Node, statement: str, fault: str
) -> None:
    with archive.journal._storage.transaction() as connection:
        before = connection.execute("SELECT * FROM meta WHERE name LIKE 'rotation/%'").fetchall()
        assert connection.execute(statement).rowcount == 1
        sum_anew(connection)

    faults = archive.faults()

    with archive.journal._storage.transaction() as connection:
        connection.execute("DELETE FROM meta WHERE name LIKE 'rotation/%'")
        connection.executemany("INSERT INTO meta VALUES (?, ?, ?)", before)
    assert len(faults) == 1
    assert re.search(fault, faults[0]), faults


def test_the_command_verifies_what_a_node_that_joined_proves(node: Node, tmp_path: Path) -> None:
    given = proved(node.transaction(MILESTONES + 2), GENESIS)
    proof, genesis = tmp_path / "some.proof", tmp_path / "genesis.json"
    proof.write_text(proof_text(given.data.hex(), {}), "utf-8")
    genesis.write_text(genesis_text(GENESIS), "utf-8")

    result = CliRunner().invoke(app, ["proof", "verify", str(proof), "--genesis", str(genesis)])

    assert result.exit_code == 0, result.stderr
    assert "milestone.rotations: 2" in result.stdout.splitlines()
