"""Proof files: JSON with the canonical bytes in hex, and a summary that nothing relies on."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.hexadecimal import from_hex
from devices.reading_proof import ReadingProof, decode_reading_proof
from tangle.errors import InvalidProofError, InvalidRequestError, MalformedBytesError
from tangle.proofs import MAX_PROOF_SIZE, Proof, decode_proof

MAX_PROOF_FILE_SIZE: Final = 4 * MAX_PROOF_SIZE
"""Hex takes twice the bytes; the summary shows no more than the proof holds."""


class _File(msgspec.Struct, frozen=True):
    """What verification reads of a file; other names are for people."""

    proof: str


def proof_text(proof: str, about: Mapping[str, object]) -> str:
    """Return the content of a proof file, the summary first."""
    return json.dumps({"about": about, "proof": proof}, indent=2)


def parse_proof_hex(text: str) -> Proof:
    """Return the proof whose canonical bytes `text` spells in hex.

    Raises:
        InvalidProofError: Not hex, not canonical, or not what its checksum says.
    """
    try:
        return decode_proof(from_hex(text, "proof", at_most=MAX_PROOF_SIZE))
    except (InvalidRequestError, MalformedBytesError) as error:
        raise InvalidProofError(str(error)) from error


def load_proof(file: Path) -> Proof:
    """Read a proof file.

    Raises:
        CommandError: The file cannot be read.
        InvalidProofError: It holds no whole proof.
    """
    return parse_proof_hex(load_hex(file))


def load_reading_proof(file: Path) -> ReadingProof:
    """Read a file that `tanglewatt reading prove` wrote. Raises as `load_proof`."""
    return parse_reading_proof_hex(load_hex(file))


def parse_reading_proof_hex(text: str) -> ReadingProof:
    """Return the proof of a reading that `text` spells. Raises as `parse_proof_hex`."""
    try:
        return decode_reading_proof(from_hex(text, "proof", at_most=MAX_PROOF_SIZE))
    except (InvalidRequestError, MalformedBytesError) as error:
        raise InvalidProofError(str(error)) from error


def load_hex(file: Path) -> str:
    """Return what a proof file spells. Raises as `load_proof`."""
    try:
        size = file.stat().st_size
        data = file.read_bytes() if size <= MAX_PROOF_FILE_SIZE else b""
    except OSError as error:
        raise CommandError(
            Failure(
                FailureCode.BAD_ARGUMENT,
                ExitCode.USAGE,
                f"{file} cannot be read",
                str(error),
                "name a file that `proof get` or `reading prove` wrote",
            )
        ) from error
    if size > MAX_PROOF_FILE_SIZE:
        raise InvalidProofError(f"{file}: {size} bytes, at most {MAX_PROOF_FILE_SIZE}")
    try:
        found = msgspec.json.decode(data, type=_File)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidProofError(f"{file} is no proof file: {error}") from error
    return found.proof
