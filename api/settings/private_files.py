"""Writes files that hold secrets, or that must be whole or not be there."""

import os
from pathlib import Path
from typing import Final

from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from edge.ground.faults import pass_point

PRIVATE: Final = 0o600
READABLE: Final = 0o644
PRIVATE_FOLDER: Final = 0o700


def create_file(file: Path, data: bytes, mode: int = READABLE) -> None:
    """Create a file durably, whole; an existing one is never replaced. Raises `CommandError`."""
    draft = draft_of(file)
    try:
        _write(draft, data, mode)
        pass_point("file.written")
        try:
            os.link(draft, file)  # unlike a rename, never replaces a file
        finally:
            draft.unlink()
        pass_point("file.named")
        _sync_folder(file.parent)
    except OSError as error:
        raise not_writable(file, error) from error


def replace_file(file: Path, data: bytes) -> None:
    """Write a file durably; who reads it sees the old one or the new. Raises `CommandError`."""
    draft = draft_of(file)
    try:
        _write(draft, data, READABLE)
        pass_point("file.written")
        draft.replace(file)
        pass_point("file.named")
        _sync_folder(file.parent)
    except OSError as error:
        raise not_writable(file, error) from error


def draft_of(file: Path) -> Path:
    """Return under which name a file is written before it is whole."""
    return file.with_name(f".{file.name}.new")


def _write(draft: Path, data: bytes, mode: int) -> None:
    draft.unlink(missing_ok=True)  # of a process that was killed
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create_folder(folder: Path) -> None:
    """Create a folder that only its owner enters; one that exists stays. Raises `CommandError`."""
    try:
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(folder, error) from error


def not_writable(path: Path, error: OSError) -> CommandError:
    """Return the failure that says why `path` cannot be written."""
    return CommandError(
        Failure(
            FailureCode.NOT_WRITABLE,
            ExitCode.STORAGE,
            f"cannot write {path}",
            error.strerror or str(error),
            "choose a folder of your own with --data-dir, or free what is in the way",
        )
    )
