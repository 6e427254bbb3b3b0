"""Points outside the running network: each is killed once, and what comes next needs no help."""

import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final

import pytest

from api.contracts import CONTRACTS
from api.network.init import create_network
from api.settings.layout import Layout, has_network, load_network
from edge.ground.faults import POINTS
from edge.ground.key_file import read_key_file, read_passphrase
from edge.joining.snapshots import FOLDER, list_snapshots
from edge.journal.backups import Extent, restore_backup, write_backup
from edge.journal.inspection import inspect
from edge.journal.journal import Journal
from edge.journal.offline import open_offline
from edge.mesh.certificates import ends_at_ms, read_certificate
from tangle.genesis import network_id
from tests.api.made_network import plan, tools
from tests.api.promising import lock_in, talk
from tests.api.recorded_journal import MILESTONES, READINGS, TRANSACTIONS, write_journal
from tests.api.small_node import GENESIS, NETWORK
from tests.api.test_cosigning import NAMES
from tests.edge.history import extend, opened
from tests.edge.joining.test_keeping import KEEP_30, Node
from tests.network.killing import python
from tests.tangle.cores import GENESIS as PRUNED_GENESIS

WHOLE: Final = Extent(MILESTONES, TRANSACTIONS, READINGS)
OLDER: Final = Extent(MILESTONES - 2, TRANSACTIONS - 10, READINGS - 4)

BACKUP: Final = """
from pathlib import Path
from api.contracts import CONTRACTS
from edge.journal.backups import write_backup
from tests.api.test_cosigning import NAMES
from tests.api.small_node import GENESIS
write_backup(Path({folder!r}), Path({file!r}), GENESIS, CONTRACTS)
"""
RESTORE: Final = """
from pathlib import Path
from api.contracts import CONTRACTS
from edge.journal.backups import restore_backup
from tests.api.test_cosigning import NAMES
from tests.api.small_node import GENESIS
restore_backup(Path({file!r}), Path({folder!r}), GENESIS, CONTRACTS, accepts_loss=True)
"""
PRUNE: Final = """
from pathlib import Path
from edge.joining import keeping
from tests.edge.joining.test_keeping import KEEP_30, Node
keeping.STEP_PAUSE_S, keeping.STEP_TRANSACTIONS = 0, 7
Node(Path({folder!r}), KEEP_30).keep()
"""
INIT: Final = """
from pathlib import Path
from api.network.init import create_network
from api.settings.layout import Layout
from tests.api.made_network import plan, tools
create_network(Layout(Path({folder!r})), plan(), {{}}, tools({seed}))
"""
RENEW: Final = """
from typer.testing import CliRunner
from api.main import app
CliRunner().invoke(app, ["mesh", "renew", "--data-dir", {folder!r}])
"""
TALK: Final = """
from pathlib import Path
from tests.api.promising import talk
talk(Path({folder!r}), 0)
"""


def killed(code: str, point: str, passage: int = 1) -> subprocess.CompletedProcess[str]:
    """Run code until it passes a point."""
    done = python(code, f"{point}:{passage}")
    assert done.returncode == -signal.SIGKILL, done.stderr[-2_000:]
    return done


def points(prefix: str) -> list[str]:
    return [name for name in POINTS if name.startswith(prefix)]


def held(folder: Path) -> Extent:
    """Open a journal as a node does, and return what a check finds in it."""
    with Journal(folder, NETWORK) as journal:
        journal.verify()
    with open_offline(folder, NETWORK) as reader:
        found = inspect(reader, GENESIS, CONTRACTS, signatures=False)
    assert found.faults == []
    return Extent(found.milestones, found.transactions, found.readings)


@pytest.mark.parametrize("point", points("backup."))
def test_a_backup_is_whole_or_has_no_name(tmp_path: Path, point: str) -> None:
    folder, file = tmp_path / "data", tmp_path / "backup"
    write_journal(folder)

    killed(BACKUP.format(folder=str(folder), file=str(file)), point)

    assert file.exists() == (point == "backup.named")
    if not file.exists():
        write_backup(folder, file, GENESIS, CONTRACTS)
    assert restore_backup(file, tmp_path / "new", GENESIS, CONTRACTS, accepts_loss=False) == (
        WHOLE,
        None,
    )


@pytest.mark.parametrize("point", points("restore."))
def test_a_restore_is_done_or_not_whenever_it_is_killed(tmp_path: Path, point: str) -> None:
    folder, older, file = tmp_path / "data", tmp_path / "older", tmp_path / "backup"
    write_journal(folder)
    write_journal(older, MILESTONES - 2)
    write_backup(older, file, GENESIS, CONTRACTS)

    killed(RESTORE.format(folder=str(folder), file=str(file)), point)

    assert held(folder) == (WHOLE if point == "restore.copied" else OLDER)
    _, aside = restore_backup(file, folder, GENESIS, CONTRACTS, accepts_loss=True)
    assert held(folder) == OLDER
    assert aside is not None
    kept = tmp_path / "kept"
    kept.mkdir()
    shutil.copyfile(aside.with_name("journal.sqlite3.replaced-1"), kept / "journal.sqlite3")
    assert held(kept) == WHOLE


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal that has more than is to be kept."""
    folder = tmp_path_factory.mktemp("grown") / "node"
    node = Node(folder, KEEP_30)
    with node.journal:
        extend(node.executor, 70, 3)
    return folder


@pytest.mark.parametrize(
    ("point", "passage"),
    [
        ("snapshot.draft", 1),
        ("snapshot.named", 1),
        ("prune.marked", 1),
        ("prune.step", 2),
    ],
)
def test_a_node_killed_while_it_prunes_goes_on_with_it(
    grown: Path, tmp_path: Path, point: str, passage: int
) -> None:
    folder, other = tmp_path / "node", tmp_path / "never killed"
    shutil.copytree(grown, folder)
    shutil.copytree(grown, other)
    killed(PRUNE.format(folder=str(folder)), point, passage)

    left = []
    for one in (folder, other):
        node = Node(one, KEEP_30)
        with node.journal:
            node.journal.verify()
            node.keep()
            left.append((node.journal.counts(), node.journal.oldest_cone(), node.core.state_root))
        files = list_snapshots(one / FOLDER)
        assert [file.header.index for file in files] == [70]
        assert not list((one / FOLDER).glob("*.new"))

    assert left[0] == left[1]
    with open_offline(folder, network_id(PRUNED_GENESIS)) as reader:
        assert inspect(reader, PRUNED_GENESIS, CONTRACTS, signatures=False).faults == []
    opened(folder)[0].close()


@pytest.mark.parametrize(("point", "passage"), [("file.written", 1), ("file.named", 12)])
def test_an_init_that_is_killed_is_made_anew(tmp_path: Path, point: str, passage: int) -> None:
    layout = Layout(tmp_path / "net")
    killed(INIT.format(folder=str(layout.root), seed=1), point, passage)
    assert not has_network(layout)

    create_network(layout, plan(), {}, tools(2))

    assert load_network(layout).homes == plan().homes
    passphrase = read_passphrase(layout.passphrase_file)
    assert read_key_file(layout.node_key_file("edge-1"), passphrase).public
    assert not list(layout.root.rglob(".*.new"))


@pytest.mark.parametrize(("point", "passage"), [("file.written", 2), ("file.named", 2)])
def test_a_certificate_is_the_old_one_or_the_new_one(
    made: Layout, point: str, passage: int
) -> None:
    names = ("coordinator", "edge-1", "edge-2", "edge-3")
    before = {name: layout_end(made, name) for name in names}

    killed(RENEW.format(folder=str(made.root)), point, passage)
    between = {name: layout_end(made, name) for name in names}
    again = python(RENEW.format(folder=str(made.root)))

    renewed = [name for name in names if between[name] != before[name]]
    assert len(renewed) == (2 if point == "file.named" else 1)
    assert again.returncode == 0
    assert all(layout_end(made, name) > before[name] for name in names)


def layout_end(layout: Layout, name: str) -> int:
    """Return until when a node's certificate is good: it can be read at all."""
    return ends_at_ms(read_certificate(layout.certificate_file(name)), name)


@pytest.fixture
def made(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "net")
    create_network(layout, plan(), {}, tools())
    return layout


@pytest.mark.parametrize(
    ("point", "passage"),
    [
        ("proposal.locked", 1),
        ("proposal.sent", 1),
        ("lock.before", 2),
        ("lock.draft", 2),
        ("lock.renamed", 2),
        ("promise.signed", 1),
        ("promise.sent", 1),
    ],
)
def test_nobody_promises_two_milestones_of_one_index(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], point: str, passage: int
) -> None:
    first = killed(TALK.format(folder=str(tmp_path)), point, passage).stdout
    locked = {name[:1].decode(): lock_in(tmp_path, name) for name in NAMES}
    for name, _, milestone_id in map(str.split, first.splitlines()):
        assert locked[name].milestone_id.hex() == milestone_id  # on disk before it is said

    talk(tmp_path, ahead_s=5)
    said = {line for text in (first, capsys.readouterr().out) for line in text.splitlines()}

    promised = [line.split()[:2] for line in said]
    assert len(promised) == len({tuple(one) for one in promised}), said
    assert ["l", "1"] in promised
    assert {lock_in(tmp_path, name).index for name in NAMES} == {1}
    assert len({lock_in(tmp_path, name).milestone_id for name in NAMES}) == 1
