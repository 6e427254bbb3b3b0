"""Writes files that hold secrets, or that must be whole or not be there."""

import os
from pathlib import Path
from typing import Final

from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode

PRIVATE: Final = 0o600
READABLE: Final = 0o644
PRIVATE_FOLDER: Final = 0o700


def create_file(file: Path, data: bytes, mode: int = READABLE) -> None:
    """Create a file durably; an existing one is never replaced. Raises `CommandError`."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise not_writable(file, error) from error


def replace_file(file: Path, data: bytes) -> None:
    """Write a file durably; who reads it sees the old one or the new. Raises `CommandError`."""
    draft = file.with_name(f".{file.name}.new")
    try:
        draft.unlink(missing_ok=True)
        create_file(draft, data)
        draft.replace(file)
        folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise not_writable(file, error) from error


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
