"""Puts another journal where a stopped node has its own, whole or not at all.

What was there is moved aside and never deleted. A process that is killed in between leaves a file
that says so, and whoever opens the folder next goes on from there.
"""

import os
from pathlib import Path
from typing import Final

from edge.ground.faults import pass_point

BESIDE: Final = ("-wal", "-shm")
"""What SQLite keeps next to a journal in use."""

READY_SUFFIX: Final = ".restored"
"""Of a whole journal that is to be the folder's from now on."""


def replace_journal(journal: Path, part: Path) -> Path | None:
    """Make `part`, which is whole and synced, the journal of its folder.

    Args:
        journal: The folder's journal, if it has one. The folder's lock is held.
        part: In the same folder.

    Returns:
        Where the journal before it is now.

    Raises:
        OSError: The disk refuses.
    """
    pass_point("restore.copied")
    part.replace(journal.with_name(journal.name + READY_SUFFIX))
    sync_path(journal.parent)
    pass_point("restore.ready")
    return finish_replacing(journal)


def finish_replacing(journal: Path) -> Path | None:
    """Go on where `replace_journal` was killed, if it was; return where the old journal is.

    Raises:
        OSError: The disk refuses.
    """
    ready = journal.with_name(journal.name + READY_SUFFIX)
    if not ready.exists():
        return None
    # A log that stays beside another journal would be applied to it: it goes before that comes.
    aside = _move_aside(journal)
    pass_point("restore.aside")
    ready.replace(journal)
    pass_point("restore.named")
    sync_path(journal.parent)
    return aside


def sync_path(path: Path) -> None:
    """Have a file or a folder on the disk. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _move_aside(journal: Path) -> Path | None:
    """Give the journal and its log another name, both; return it."""
    names = [one for one in ("", *BESIDE) if journal.with_name(journal.name + one).exists()]
    if not names:
        return None
    number = 1
    while any(_aside(journal, number, one).exists() for one in names):
        number += 1
    for one in names:
        journal.with_name(journal.name + one).replace(_aside(journal, number, one))
    sync_path(journal.parent)
    return _aside(journal, number, "")


def _aside(journal: Path, number: int, suffix: str) -> Path:
    return journal.with_name(f"{journal.name}.replaced-{number}{suffix}")
