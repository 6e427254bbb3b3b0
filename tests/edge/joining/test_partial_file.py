"""A snapshot on its way: chunks in any order, found again after a kill, damaged ones dropped."""

from pathlib import Path
from random import Random

import pytest

from edge.joining.partial_file import FOLDER, MANIFEST, PART, PartialFile
from edge.mesh.offers import CHUNK_SIZE, SnapshotManifest
from tangle.anchors import Anchor
from tangle.errors import StorageError
from tangle.hashing import digest

DATA = Random(1).randbytes(3 * CHUNK_SIZE + 5)
CHUNKS = [DATA[at : at + CHUNK_SIZE] for at in range(0, len(DATA), CHUNK_SIZE)]
WANTED = SnapshotManifest(
    Anchor((), b"m"), digest(DATA), len(DATA), tuple(digest(one) for one in CHUNKS)
)
OTHER = SnapshotManifest(Anchor((), b"o"), digest(b"other"), 5, (digest(b"other"),))


def test_chunks_in_any_order_make_the_file(tmp_path: Path) -> None:
    file = PartialFile(tmp_path)

    assert file.begin(WANTED) == set()
    for number in (3, 0, 2, 1):
        file.put(number, CHUNKS[number])

    assert file.path.read_bytes() == DATA


def test_what_a_killed_process_fetched_is_found_again(tmp_path: Path) -> None:
    killed = PartialFile(tmp_path)
    killed.begin(WANTED)
    killed.put(2, CHUNKS[2])
    killed.put(0, CHUNKS[0])

    anew = PartialFile(tmp_path)

    assert anew.manifest() == WANTED
    assert anew.begin(WANTED) == {0, 2}


def test_a_chunk_written_in_part_or_damaged_is_fetched_again(tmp_path: Path) -> None:
    file = PartialFile(tmp_path)
    file.begin(WANTED)
    for number, data in enumerate(CHUNKS):
        file.put(number, data)
    damaged = bytearray(DATA[: 3 * CHUNK_SIZE + 2])  # the last one was torn
    damaged[CHUNK_SIZE] ^= 1
    file.path.write_bytes(damaged)

    assert PartialFile(tmp_path).begin(WANTED) == {0, 2}


def test_another_file_begins_with_nothing_of_the_first(tmp_path: Path) -> None:
    file = PartialFile(tmp_path)
    file.begin(WANTED)
    file.put(0, CHUNKS[0])

    assert file.begin(OTHER) == set()
    assert file.path.read_bytes() == b""
    assert file.manifest() == OTHER


def test_a_manifest_without_its_file_and_a_damaged_one_begin_anew(tmp_path: Path) -> None:
    file = PartialFile(tmp_path)
    file.begin(WANTED)
    file.path.unlink()

    assert PartialFile(tmp_path).begin(WANTED) == set()

    (tmp_path / FOLDER / MANIFEST).write_bytes(b"torn")
    assert PartialFile(tmp_path).manifest() is None
    assert not (tmp_path / FOLDER).exists()


def test_nothing_is_left_of_what_is_discarded_even_drafts(tmp_path: Path) -> None:
    file = PartialFile(tmp_path)
    assert file.manifest() is None
    file.discard()
    file.begin(WANTED)
    (tmp_path / FOLDER / "manifest.new").write_bytes(b"of a process that was killed")

    file.discard()

    assert list(tmp_path.iterdir()) == []


def test_the_whole_file_gets_a_name_and_the_folder_goes(tmp_path: Path) -> None:
    file = PartialFile(tmp_path)
    file.begin(OTHER)
    file.put(0, b"other")
    place = tmp_path / "snapshots" / "full-000000000007.twsnap"

    file.keep_as(place)

    assert place.read_bytes() == b"other"
    assert place.stat().st_mode & 0o077 == 0
    assert not (tmp_path / FOLDER).exists()


def test_a_disk_that_refuses_is_named(tmp_path: Path) -> None:
    file = PartialFile(tmp_path)
    (tmp_path / FOLDER / PART).mkdir(parents=True)  # where a file should be

    for act in (
        lambda: file.begin(WANTED),
        lambda: file.put(0, b"x"),
        lambda: file.keep_as(tmp_path / "snapshots" / "x"),
        file.discard,
    ):
        with pytest.raises(StorageError, match="joining"):
            act()
    (tmp_path / FOLDER / MANIFEST).unlink(missing_ok=True)
    (tmp_path / FOLDER / MANIFEST).mkdir()
    with pytest.raises(StorageError, match="joining"):
        file.manifest()
