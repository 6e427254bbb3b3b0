"""Logs of child processes: appended to, and never beyond a bound."""

import os
from pathlib import Path
from typing import Final

MAX_LOG_SIZE: Final = 5 * 2**20
"""Bytes after which a log is moved aside; one older one is kept, so twice this is the most."""

TAIL_SIZE: Final = 4_096
TAIL_LINES: Final = 5


def rotate(file: Path, max_size: int = MAX_LOG_SIZE) -> bool:
    """Move the content of a log that grew too large to `NAME.1`; return whether it was.

    The file itself stays and is cut to nothing, for a child holds it open. It appends, so it
    goes on at the new end; what it writes between copy and cut is lost, as logs may be. Of what
    came faster than this was called, the newest `max_size` bytes are kept.
    """
    try:
        if file.stat().st_size <= max_size:
            return False
    except FileNotFoundError:
        return False
    with file.open("rb") as stream:
        stream.seek(-max_size, os.SEEK_END)
        newest = stream.read(max_size)
    file.with_name(f"{file.name}.1").write_bytes(newest)
    os.truncate(file, 0)
    return True


def tail(file: Path) -> str:
    """Return the last lines of a log on one line, for an error; empty if there are none."""
    try:
        with file.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - TAIL_SIZE))
            text = stream.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-TAIL_LINES:])
