"""Kinds of values in a configuration file, each with the rule it keeps. pydantic stays here."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from tangle.address import decode_address
from tangle.errors import InvalidAddressError
from tangle.keys import KEY_SIZE, SIGNATURE_SIZE

MAX_ALIAS_SIZE: Final = 64
MIN_PRUNING_DEPTH: Final = 20
"""Milestones: what a network with the usual parameters looks back on."""

MAX_PRUNING_DEPTH: Final = 10**9
MAX_READINGS_HOURS: Final = 10**6
"""A century."""
MAX_PATIENCE_MINUTES: Final = 31 * 24 * 60
"""Readings that are a month late are counted with those that are in time."""

MAX_PATH_SIZE: Final = 4_096
"""What Linux takes for a path."""


def _hex(size: int) -> Callable[[object], bytes]:
    def parse(value: object) -> bytes:
        if isinstance(value, bytes):
            return value
        try:
            data = bytes.fromhex(value) if isinstance(value, str) else b""
        except ValueError:
            data = b""
        if len(data) != size:
            raise ValueError(f"must be {2 * size} hexadecimal digits ({size} bytes)")
        return data

    return parse


def _address(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        # pydantic turns a ValueError, and nothing else, into its report
        raise ValueError("must be an address in text form, tw1…")  # noqa: TRY004
    try:
        return decode_address(value)
    except InvalidAddressError as error:
        raise ValueError(str(error)) from error


def _absolute(value: Path, info: ValidationInfo[Any]) -> Path:
    """Take a relative path as relative to the folder of the file that names it."""
    folder: Path = info.context["folder"]
    return (folder / value.expanduser()).absolute()


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise ValueError("must be the name of a time zone, such as Europe/Athens") from error
    return value


def _pruning_depth(value: int) -> int:
    if value != 0 and not MIN_PRUNING_DEPTH <= value <= MAX_PRUNING_DEPTH:
        raise ValueError(f"must be 0, or from {MIN_PRUNING_DEPTH} to {MAX_PRUNING_DEPTH}")
    return value


KeyBytes = Annotated[bytes, BeforeValidator(_hex(KEY_SIZE))]
"""An Ed25519 public key, in hexadecimal in the file."""

SignatureBytes = Annotated[bytes, BeforeValidator(_hex(SIGNATURE_SIZE))]

AddressBytes = Annotated[bytes, BeforeValidator(_address)]
"""An address, `tw1…` in the file."""

AbsolutePath = Annotated[Path, AfterValidator(_absolute)]

Files = Annotated[tuple[AbsolutePath, ...], Field(min_length=1)]
"""At least one."""

Alias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=MAX_ALIAS_SIZE)]
"""A name people see; also the name of files, so it holds no slash and no space."""

MAX_HOST_SIZE: Final = 253
HOST_PATTERN: Final = r"^[A-Za-z0-9.:_-]+$"
Host = Annotated[str, Field(pattern=HOST_PATTERN, max_length=MAX_HOST_SIZE)]
"""A host name or an IP address."""

Port = Annotated[int, Field(ge=1, le=65_535)]

Endpoint = Annotated[str, Field(pattern=r"^(tls|tcp)/[^\s/]+:[0-9]{1,5}$", max_length=300)]
"""Where Zenoh listens or connects: `tls/10.0.0.5:7447`."""

IntervalMs = Annotated[int, Field(ge=10, le=3_600_000)]

NonNegative = Annotated[int, Field(ge=0, le=2**31)]
Positive = Annotated[int, Field(ge=1, le=2**31)]
Share = Annotated[int, Field(ge=1, le=1_000_000)]
"""Parts per million, more than nothing."""

JournalBytes = Annotated[int, Field(ge=0, le=2**63 - 1)]

PatienceMinutes = Annotated[int, Field(ge=0, le=MAX_PATIENCE_MINUTES)]

Zone = Annotated[str, Field(max_length=64), AfterValidator(_zone)]
"""A name of the time zone data."""

ReadingsHours = Annotated[int, Field(ge=0, le=MAX_READINGS_HOURS)]
PruningDepth = Annotated[int, AfterValidator(_pruning_depth)]
"""Milestones; 0 to keep all, else at least what any network looks back on."""

Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
"""Of whatever is drawn at random; as large as an integer of TOML may be."""

DeviceRole = Literal["member", "meter"]
"""What a device may be registered as (`access.device.DeviceRole`)."""
