"""Files of bills on disk: read with a limit, written once and never over another."""

import os
from pathlib import Path
from typing import Final

from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from energy.bills.as_json import MAX_BILL_FILE_SIZE, parse_bill_file
from energy.bills.documents import Bill

PRIVATE: Final = 0o600
"""What a home used is nobody else's to read."""


def read_bill(file: Path) -> Bill:
    """Return the document of a file. Raises `CommandError`, or `InvalidError` if it is none."""
    return parse_bill_file(_read(file))


def read_text(file: Path) -> str:
    """Return a text file. Raises `CommandError`."""
    try:
        return _read(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _failed(file, str(error)) from error


def write_new(file: Path, data: bytes) -> None:
    """Write a file that is not there yet, for its owner alone, and on the disk when it returns.

    Raises:
        CommandError: There is one, or it cannot be written.
    """
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise _failed(file, error.strerror or str(error)) from error


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BILL_FILE_SIZE + 1)
    except OSError as error:
        raise _failed(file, error.strerror or str(error)) from error
    if len(data) > MAX_BILL_FILE_SIZE:
        raise _failed(file, f"more than {MAX_BILL_FILE_SIZE} bytes")
    return data


def _failed(file: Path, why: str) -> CommandError:
    return CommandError(
        Failure(
            FailureCode.BAD_ARGUMENT,
            ExitCode.USAGE,
            f"{file} cannot be used",
            why,
            "name another file",
        )
    )
