"""Looks for damage in a running node's journal, now and then, before anybody asks there."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Final

from edge.journal.offline import reported
from edge.journal.storage import lenient_text
from edge.journal.sweep import sweep

EVERY_S: Final = 1_800.0
"""Between two sweeps. One of 100,000 transactions takes a second of work, and reads the file."""

PAUSE_S: Final = 0.02
"""After each step: so a sweep takes a tenth of one core at most."""

MAX_AT_START_BYTES: Final = 256 * 2**20
"""Of a journal that is swept before the node starts: some seconds. A larger one (an archive's) is
swept as soon as the node runs."""

_END: Final = object()


class Sweeping:
    """Sweeps one journal, beside the node that writes it."""

    def __init__(self, path: Path, every_s: float = EVERY_S) -> None:
        """Sweep the file at `path` every so often."""
        self._path = path
        self._every_s = every_s
        self.done = 0
        """Sweeps that found nothing."""

    def fits_a_start(self) -> bool:
        """Return whether the file is small enough to be swept before the node starts."""
        return self._path.stat().st_size <= MAX_AT_START_BYTES

    async def run(self) -> None:
        """Sweep until cancelled.

        Raises:
            DamagedStoreError: Something is not what was written.
            StorageError: The file cannot be read.
        """
        if self.fits_a_start():
            await asyncio.sleep(self._every_s)
        while True:
            await self.sweep_once()
            self.done += 1
            await asyncio.sleep(self._every_s)

    async def sweep_once(self) -> None:
        """Sweep the whole file as it is at one moment; raises as `run`."""
        busy = Lock()
        with reported(self._path):
            connection = _opened(self._path)
            try:
                steps = sweep(connection)
                # In threads: the first step may take seconds, and holds no lock of Python's.
                has_more = True
                while has_more:
                    has_more = await asyncio.to_thread(_is_more, steps, busy)
                    await asyncio.sleep(PAUSE_S)
            finally:
                connection.interrupt()  # a cancelled step goes on in its thread
                with busy:
                    connection.close()


def _opened(path: Path) -> sqlite3.Connection:
    """Return a connection of its own, with nothing cached, that sees one moment."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False
    )
    connection.text_factory = lenient_text
    connection.execute("BEGIN")
    return connection


def _is_more(steps: Iterator[None], busy: Lock) -> bool:
    with busy:
        return next(steps, _END) is not _END
