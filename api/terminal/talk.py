"""How commands speak: data to stdout, talk to stderr, failures in three lines with a code."""

import json
import sys
from collections.abc import Mapping
from typing import Final, NoReturn, TextIO

import msgspec

from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from tangle.errors import (
    BackupRefusedError,
    DamagedStoreError,
    ForeignStoreError,
    InvalidAddressError,
    InvalidCertificateError,
    InvalidEndpointError,
    InvalidError,
    InvalidKeyFileError,
    InvalidProofError,
    InvalidSeedError,
    InvalidSnapshotError,
    StorageError,
    TanglewattError,
    UnavailableError,
)

SCHEMA: Final = 1
"""Of what `--json` prints; grows when a key changes its meaning."""


def say(text: str) -> None:
    """Print a line for people, to stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 — a command line talks


def put(text: str) -> None:
    """Print a line of data, to stdout."""
    print(text, flush=True)  # noqa: T201


def put_json(value: Mapping[str, object]) -> None:
    """Print one object on one line of stdout."""
    put(json_line(value))


def json_line(value: Mapping[str, object]) -> str:
    """Return one object as one line: keys as they stand, `schema` last."""
    return json.dumps({**value, "schema": SCHEMA}, ensure_ascii=False)


def is_terminal(stream: TextIO) -> bool:
    """Return whether a person reads along, so that a line may change in place."""
    return stream.isatty()


def show_failure(failure: Failure, *, as_json: bool) -> None:
    """Tell a person, and with `--json` also a program, why the command ends."""
    say(f"✘ {failure.code} {failure.what}")
    say(f"  why:  {failure.why}")
    say(f"  next: {failure.next_step}")
    if as_json:
        put_json({"error": msgspec.to_builtins(failure)})


def end_with(error: TanglewattError, *, as_json: bool) -> NoReturn:
    """Show an error of ours and end the process with its exit code."""
    failure = failure_of(error)
    show_failure(failure, as_json=as_json)
    raise SystemExit(int(failure.exit_code))


def failure_of(error: TanglewattError) -> Failure:
    """Return what to tell a person about any error that this project raises on purpose."""
    if isinstance(error, CommandError):
        return error.failure
    for kinds, code, exit_code, what, next_step in _FAILURES:
        if isinstance(error, kinds):
            return Failure(code, exit_code, what, str(error), next_step)
    raise AssertionError(f"{type(error).__name__} is of no known branch") from error


_FAILURES: Final = (
    (
        InvalidCertificateError,
        FailureCode.BAD_CERTIFICATE,
        ExitCode.NOT_AUTHORISED,
        "a certificate cannot be used",
        "make it anew with `tanglewatt mesh renew`, where authority.key is",
    ),
    (
        InvalidEndpointError,
        FailureCode.BAD_VALUE,
        ExitCode.BAD_CONFIGURATION,
        "an endpoint of the mesh cannot be used",
        "correct mesh.listen or mesh.connect",
    ),
    (
        InvalidKeyFileError,
        FailureCode.BAD_KEY_FILE,
        ExitCode.NOT_AUTHORISED,
        "a key cannot be used",
        "check the path, the passphrase and that only you may read the file (chmod 600)",
    ),
    (
        InvalidAddressError,
        FailureCode.BAD_ARGUMENT,
        ExitCode.USAGE,
        "that is no address",
        "copy it again, whole: an address begins with tw1 and has 61 characters",
    ),
    (
        InvalidSeedError,
        FailureCode.BAD_ARGUMENT,
        ExitCode.USAGE,
        "these words are no seed",
        "enter all 24 words again, in their order",
    ),
    (
        InvalidSnapshotError,
        FailureCode.BAD_SNAPSHOT,
        ExitCode.REFUSED,
        "a snapshot is refused",
        "get another one, from this network and from another source",
    ),
    (
        (ForeignStoreError, DamagedStoreError),
        FailureCode.BAD_STORAGE,
        ExitCode.STORAGE,
        "a data folder cannot be used",
        "put back the key and the folder that belong together, or a backup; a damaged journal:"
        " `tanglewatt restore`, or `tanglewatt db salvage` and the node's peers",
    ),
    (
        BackupRefusedError,
        FailureCode.BACKUP_REFUSED,
        ExitCode.STORAGE,
        "the journal is not replaced",
        "take a newer backup; or let go of what is not in it with --accept-loss",
    ),
    (
        StorageError,
        FailureCode.NOT_WRITABLE,
        ExitCode.STORAGE,
        "storage cannot be used",
        "check that the disk has room, the folder is yours and nothing else runs on it",
    ),
    (
        InvalidProofError,
        FailureCode.BAD_PROOF,
        ExitCode.REFUSED,
        "the proof does not hold",
        "get it again, from another node too; check that genesis.json is that of the network",
    ),
    (
        InvalidError,
        FailureCode.REFUSED,
        ExitCode.REFUSED,
        "refused",
        "correct what the reason names",
    ),
    (
        UnavailableError,
        FailureCode.UNREACHABLE,
        ExitCode.UNHEALTHY,
        "not possible now",
        "try again in a few seconds",
    ),
)
"""What each branch of the error tree means for a command; the narrowest come first."""
