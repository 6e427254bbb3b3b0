"""A snapshot on its way into a data folder: chunks in any order, kept over a kill.

What is here is known by computing its hashes, not from a list: whatever a kill, a power cut or a
failing disk left is then either what was announced or fetched again.
"""

import os
from pathlib import Path
from typing import Final

from edge.ground.faults import pass_point
from edge.joining.snapshots import write_whole
from edge.mesh.offers import CHUNK_SIZE, MAX_MANIFEST_SIZE, SnapshotManifest, chunk_size
from tangle.codec import Decoder, encode
from tangle.errors import MalformedBytesError, StorageError
from tangle.hashing import digest

FOLDER: Final = "joining"
"""In a node's data folder; there only while a snapshot is being fetched."""

MANIFEST: Final = "manifest"
PART: Final = "snapshot.part"
_PRIVATE: Final = 0o600

_manifests: Final = Decoder(SnapshotManifest, "manifest", MAX_MANIFEST_SIZE)


class PartialFile:
    """The one file that a node is fetching, if any. Every method raises `StorageError`."""

    def __init__(self, data_folder: Path) -> None:
        self._folder = data_folder / FOLDER
        self.path = self._folder / PART
        """Where the file grows."""

    def manifest(self) -> SnapshotManifest | None:
        """Return what was being fetched when the node last ran, `None` if nothing was."""
        try:
            data = (self._folder / MANIFEST).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed(error) from error
        try:
            return _manifests.decode(data)
        except MalformedBytesError:  # damaged: what it was of is fetched anew
            self.discard()
            return None

    def begin(self, manifest: SnapshotManifest) -> set[int]:
        """Make room for a file, or go on with it; return the numbers of the chunks here."""
        if self.manifest() != manifest:
            self.discard()
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._folder / MANIFEST, encode(manifest))
            self.path.touch(mode=_PRIVATE)
            return self._whole_chunks(manifest)
        except OSError as error:
            raise self._failed(error) from error

    def put(self, number: int, data: bytes) -> None:
        """Write one chunk in its place."""
        try:
            with self.path.open("r+b", buffering=0) as file:
                file.seek(number * CHUNK_SIZE)
                written = file.write(data)
        except OSError as error:
            raise self._failed(error) from error
        if written != len(data):
            raise StorageError(f"{self.path}: {written} of {len(data)} bytes were written")
        pass_point("join.chunk")

    def keep_as(self, path: Path) -> None:
        """Give the whole file its place among the snapshots of this node, durably."""
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self.path.open("rb") as file:
                os.fsync(file.fileno())
            self.path.replace(path)
        except OSError as error:
            raise self._failed(error) from error
        self.discard()

    def discard(self) -> None:
        """Leave nothing of it."""
        try:
            for name in (MANIFEST, PART):
                (self._folder / name).unlink(missing_ok=True)
            if self._folder.is_dir():
                for draft in self._folder.glob("*.new"):  # of a process that was killed
                    draft.unlink()
                self._folder.rmdir()
        except OSError as error:
            raise self._failed(error) from error

    def _whole_chunks(self, manifest: SnapshotManifest) -> set[int]:
        here = set()
        with self.path.open("rb") as file:
            for number, wanted in enumerate(manifest.chunks):
                data = file.read(chunk_size(manifest, number))
                if digest(data) == wanted:
                    here.add(number)
        return here

    def _failed(self, error: OSError) -> StorageError:
        return StorageError(f"{self._folder}: cannot be used: {error.strerror}")
