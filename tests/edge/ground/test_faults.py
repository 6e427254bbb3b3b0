"""Fault points: off unless asked for, each in the code, and what needs no network killed here."""

import re
import signal
from pathlib import Path

import pytest

from edge.ground.faults import POINTS, VARIABLE, Fault
from edge.ground.key_file import read_key_file
from edge.journal.inspection import inspect
from edge.journal.journal import Journal
from edge.journal.offline import open_offline
from tests.community import CONTRACTS
from tests.edge.making import GENESIS, NETWORK, NODE
from tests.network.killing import python

ROOT = Path(__file__).parents[3]
SOURCES = [
    file.read_text("utf-8")
    for folder in ("edge", "api", "devices")
    for file in (ROOT / folder).rglob("*.py")
]
KEY_CODE = """
from pathlib import Path
from edge.ground.key_file import Cost, write_key_file
from tangle.keys import SigningKey
write_key_file(Path({path!r}), SigningKey(bytes([1]) * 32), b"word", Cost(1, 8))
"""
SEQUENCE_CODE = """
from pathlib import Path
from api.client.sequence_file import reserve_sequence
print(reserve_sequence(Path({path!r}), "net", 5), flush=True)
"""
FIRST_START_CODE = """
from pathlib import Path
from edge.journal.journal import Journal
from tests.edge.making import GENESIS, NETWORK
with Journal(Path({path!r}), NETWORK) as journal:
    journal.next_epoch(1)
    journal.restore(GENESIS, 20)
"""


def test_every_point_is_passed_somewhere_and_no_other_is() -> None:
    passed = {name for text in SOURCES for name in re.findall(r'pass_point\("([^"]+)"\)', text)}

    assert passed == set(POINTS)


def test_without_the_variable_no_point_kills() -> None:
    killed: list[str] = []
    fault = Fault({}, lambda: killed.append("killed"))

    for name in POINTS:
        fault.pass_point(name)

    assert killed == []


def test_the_passage_that_is_asked_for_kills() -> None:
    passed: list[str] = []
    fault = Fault({VARIABLE: "gossip.after:2"}, lambda: passed.append("killed"))

    for name in ("gossip.after", "gossip.before", "gossip.after", "gossip.after"):
        passed.append(name)
        fault.pass_point(name)

    assert passed == ["gossip.after", "gossip.before", "gossip.after", "killed", "gossip.after"]


@pytest.mark.parametrize("asked", ["nowhere:1", "gossip.after:0"])
def test_a_fault_that_is_none_is_a_mistake(asked: str) -> None:
    with pytest.raises(AssertionError, match=VARIABLE):
        Fault({VARIABLE: asked}, lambda: None)


@pytest.mark.parametrize("point", [name for name in POINTS if name.startswith("key.")])
def test_a_key_file_is_whole_or_not_there(tmp_path: Path, point: str) -> None:
    file = tmp_path / "node.key"
    code = KEY_CODE.format(path=str(file))

    assert python(code, f"{point}:1").returncode == -signal.SIGKILL
    assert file.exists() == (point == "key.named")
    if not file.exists():
        assert python(code).returncode == 0

    assert read_key_file(file, b"word").seed == NODE.seed


@pytest.mark.parametrize("point", [name for name in POINTS if name.startswith("sequence.")])
def test_a_number_that_was_handed_out_is_never_handed_out_again(tmp_path: Path, point: str) -> None:
    code = SEQUENCE_CODE.format(path=str(tmp_path / "wallet.next"))
    handed = [python(code).stdout]

    killed = python(code, f"{point}:1")
    handed += [python(code).stdout for _ in range(2)]

    assert killed.returncode == -signal.SIGKILL
    assert killed.stdout == ""
    assert len(set(handed)) == 3
    assert handed[0] == "5\n"


@pytest.mark.parametrize("passage", [1, 2, 3])
@pytest.mark.parametrize("point", [name for name in POINTS if name.startswith("journal.")])
def test_a_kill_at_the_very_first_start_leaves_a_journal_or_none(
    tmp_path: Path, point: str, passage: int
) -> None:
    code = FIRST_START_CODE.format(path=str(tmp_path))

    assert python(code, f"{point}:{passage}").returncode == -signal.SIGKILL
    with Journal(tmp_path, NETWORK) as journal:
        assert journal.restore(GENESIS, 20) is None

    with open_offline(tmp_path, NETWORK) as reader:
        assert inspect(reader, GENESIS, CONTRACTS, signatures=True).faults == []
