"""An operator reads the evidence of a halted node, decides, and the node goes on or stays put."""

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from api.commands.evidence_main import app
from api.exit_codes import ExitCode
from api.settings.genesis_file import genesis_text
from edge.journal.entries import Arrival, Batch
from edge.journal.journal import Journal
from tangle.effects import Attached, Confirmed, Halted
from tangle.node import NodeCore
from tangle.verification import Verified
from tests.community import CONTRACTS
from tests.tangle.cores import ALICE, GENESIS, NOW, H, at, fresh_core, milestone

FIRST, SECOND = (milestone(fresh_core(), (H,), ms) for ms in (10, 11))


def evidence(command: str, folder: Path, *more: str) -> Result:
    genesis = str(folder.parent / "genesis.json")
    return CliRunner().invoke(app, [command, str(folder), "--genesis", genesis, "--json", *more])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the data folder of a node that applied `FIRST` and then heard of `SECOND`."""
    (tmp_path / "genesis.json").write_text(genesis_text(GENESIS), "utf-8")
    folder = tmp_path / "data"
    with Journal(folder, fresh_core().rules.network) as journal:
        journal.restore(GENESIS, 20)
        core = NodeCore(GENESIS, CONTRACTS)
        for one in (FIRST, SECOND):
            for effect in core.receive(ALICE, one.data, at(20)):
                match effect:
                    case Attached():
                        journal.commit(Batch((Arrival(effect.tx_id, effect.data, 0),)))
                    case Confirmed():
                        journal.commit(Batch(confirmed=(effect,)))
                    case Halted():
                        journal.commit(Batch(halted=effect))
                    case _:
                        pass
    return folder


def restarted(folder: Path) -> NodeCore:
    with Journal(folder, fresh_core().rules.network) as journal:
        return NodeCore(GENESIS, CONTRACTS, journal.restore(GENESIS, 20))


def resumed(folder: Path, *refused: Verified, at_milestone: Verified = SECOND) -> Result:
    more = [part for one in refused for part in ("--refuse", one.tx_id.hex())]
    return evidence("resume", folder, "--milestone", at_milestone.tx_id.hex(), *more)


def test_the_evidence_is_shown_with_its_bytes(folder: Path) -> None:
    shown = msgspec.json.decode(evidence("show", folder).stdout)
    genesis = str(folder.parent / "genesis.json")
    text = CliRunner().invoke(app, ["show", str(folder), "--genesis", genesis]).stdout

    assert shown["halted"]["index"] == 1
    assert shown["halted"]["evidence"] == [{"id": SECOND.tx_id.hex(), "bytes": SECOND.data.hex()}]
    assert shown["reviews"] == []
    assert f"halted at milestone 1 {SECOND.tx_id.hex()}" in text


def test_a_lifted_halt_stays_lifted_and_the_refused_milestone_is_never_heard_again(
    folder: Path,
) -> None:
    before = restarted(folder).halted

    done = resumed(folder, SECOND)
    core = restarted(folder)
    again = core.receive(ALICE, SECOND.data, at(30))
    asked = core.heartbeat(ALICE, (1, SECOND.tx_id), (), at(30))
    handed_in = core.submit(SECOND.data, at(30))
    next_one = core.submit(milestone(core, (H,), 40).data, at(40))

    assert before is not None
    assert done.exit_code == ExitCode.OK
    assert core.confirmed_index == 2
    assert core.halted is None
    assert [again, asked, handed_in] == [[], [], []]
    assert any(isinstance(effect, Confirmed) for effect in next_one)
    reviews = msgspec.json.decode(evidence("show", folder).stdout)["reviews"]
    assert [one["refused"] for one in reviews] == [[SECOND.tx_id.hex()]]
    assert [one["evidence"][0]["bytes"] for one in reviews] == [SECOND.data.hex()]


def test_what_is_not_refused_halts_the_node_again(folder: Path) -> None:
    resumed(folder)

    core = restarted(folder)
    effects = core.receive(ALICE, SECOND.data, at(30))

    assert [type(effect) for effect in effects] == [Halted]


def test_of_two_that_wait_one_must_be_refused(folder: Path) -> None:
    halted = Halted(1, FIRST.tx_id, "two milestones of one index", (FIRST.data, SECOND.data))
    with Journal(folder, fresh_core().rules.network) as journal:
        journal.commit(Batch(halted=halted))

    undecided = resumed(folder, at_milestone=FIRST)
    decided = resumed(folder, SECOND, at_milestone=FIRST)

    assert undecided.exit_code == ExitCode.USAGE
    assert "more than one milestone" in undecided.stdout
    assert decided.exit_code == ExitCode.OK


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--milestone", "00"), "did not halt at milestone 00"),
        (("--milestone", SECOND.tx_id.hex(), "--refuse", "00"), "--refuse 00"),
        (("--milestone", SECOND.tx_id.hex(), "--refuse", FIRST.tx_id.hex()), "--refuse"),
    ],
)
def test_an_operator_who_names_something_else_is_stopped(
    folder: Path, more: tuple[str, ...], said: str
) -> None:
    result = evidence("resume", folder, *more)

    assert result.exit_code == ExitCode.USAGE
    assert said in result.stdout
    assert restarted(folder).halted is not None


def test_a_node_that_runs_well_has_nothing_to_lift(folder: Path) -> None:
    resumed(folder, SECOND)

    again = resumed(folder, SECOND)

    assert again.exit_code == ExitCode.USAGE
    assert "it has not halted" in again.stdout


def test_a_folder_without_a_journal_is_not_made_one(folder: Path) -> None:
    result = evidence("show", folder.parent / "nothing")

    assert result.exit_code == ExitCode.NOT_FOUND
    assert not (folder.parent / "nothing").exists()


def test_nothing_but_the_review_is_needed_to_remember_what_was_refused(tmp_path: Path) -> None:
    network = fresh_core().rules.network
    with Journal(tmp_path, network) as journal:
        journal.restore(GENESIS, 20)
        journal.commit(Batch(halted=Halted(1, FIRST.tx_id, "a wrong root", (FIRST.data,))))
        journal.lift_halt(frozenset({FIRST.tx_id}), 5)
        core = NodeCore(GENESIS, CONTRACTS, journal.restore(GENESIS, 20))

    assert core.receive(ALICE, FIRST.data, NOW) == []
    assert core.confirmed_index == 0
