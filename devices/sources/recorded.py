"""A recording: the registers of a real meter, from CSV text."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from devices.sources.rows import Position, Registers, SourceRow
from tangle.errors import InvalidRecordingError
from tangle.transaction import MAX_INTEGER

COLUMNS: Final = ("interval_end", "import_register_wh", "export_register_wh")
MAX_RECORDING_SIZE: Final = 64 * 2**20
"""Characters: more than ten years of quarter hours with a dozen columns."""

MAX_NAMED_FAULTS: Final = 20
"""Wrong rows named in one error; the rest are counted."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_DIGITS: Final = len(str(MAX_INTEGER))


@dataclass(frozen=True, slots=True)
class Recording:
    """Rows in order of time; a `ReadingSource` that ends."""

    rows: tuple[SourceRow, ...]

    def row(self, position: Position) -> SourceRow | None:
        """Return the row after those read so far, or `None` after the last."""
        return self.rows[position.rows] if position.rows < len(self.rows) else None

    def bridge(self, position: Position, now_ms: int) -> None:
        """Return nothing: what was recorded is delivered row by row, however late."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One row as read, before its interval is known."""

    end_ms: int
    registers: Registers


def parse_recording(text: str) -> Recording:
    """Parse CSV with the columns of `COLUMNS`, in any order, among any others.

    Each row's interval starts where the row before it ends; the first is as long as the second.

    Args:
        text: Registers in whole Wh, never falling; times in ISO 8601 with a zone, growing.

    Returns:
        At least two rows.

    Raises:
        InvalidRecordingError: Names each wrong row by line, value and rule.
    """
    if len(text) > MAX_RECORDING_SIZE:
        raise InvalidRecordingError(
            f"recording of {len(text)} characters: the maximum is {MAX_RECORDING_SIZE}"
        )
    lines, faults = _read(_records(text.removeprefix("\ufeff")))
    if faults:
        raise InvalidRecordingError(_report(faults))
    if len(lines) < 2:
        raise InvalidRecordingError(
            f"recording of {len(lines)} rows: two are needed to know how long an interval is"
        )
    first_start_ms = 2 * lines[0].end_ms - lines[1].end_ms
    if first_start_ms < 0:
        raise InvalidRecordingError("the first interval starts before 1970")
    starts_ms = [first_start_ms, *(line.end_ms for line in lines[:-1])]
    return Recording(
        tuple(
            SourceRow(start_ms, line.end_ms, line.registers, "measured")
            for start_ms, line in zip(starts_ms, lines, strict=True)
        )
    )


def _records(text: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield line number and the named fields of each row that is not empty."""
    reader = csv.reader(text.splitlines(keepends=True))
    try:
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            raise InvalidRecordingError(
                f"line 1: column {', '.join(missing)} is missing; found: {', '.join(header)[:200]}"
            )
        repeated = [name for name in COLUMNS if header.count(name) > 1]
        if repeated:
            raise InvalidRecordingError(f"line 1: column {', '.join(repeated)} stands there twice")
        for fields in reader:
            if fields:
                yield reader.line_num, dict(zip(header, fields, strict=False))
    except csv.Error as error:
        raise InvalidRecordingError(f"line {reader.line_num}: {error}") from error


def _read(
    records: Iterator[tuple[int, Mapping[str, str]]],
) -> tuple[Sequence[_Line], Sequence[str]]:
    """Return the rows that keep every rule, and what is wrong with the others."""
    lines: list[_Line] = []
    faults: list[str] = []
    for number, fields in records:
        try:
            line = _parse_line(fields)
            if lines:
                _verify_order(lines[-1], line)
        except ValueError as error:
            faults.append(f"line {number}: {error}")
        else:
            lines.append(line)
    return lines, faults


def _parse_line(fields: Mapping[str, str]) -> _Line:
    """Return one row; raises `ValueError` with value and rule."""
    absent = [name for name in COLUMNS if name not in fields]
    if absent:
        raise ValueError(f"no value for {', '.join(absent)}")
    end, import_wh, export_wh = (fields[name].strip() for name in COLUMNS)
    return _Line(
        _parse_time("interval_end", end),
        Registers(
            _parse_register("import_register_wh", import_wh),
            _parse_register("export_register_wh", export_wh),
        ),
    )


def _parse_time(name: str, text: str) -> int:
    """Return ms since the Unix epoch."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"{name} {text[:40]!r} is not an ISO 8601 time with a zone")
    if moment < _EPOCH:
        raise ValueError(f"{name} {text!r} lies before 1970")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _parse_register(name: str, text: str) -> int:
    """Return whole Wh."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{name} {text[:40]!r} is not a whole number of Wh")
    if text.startswith("-"):
        raise ValueError(f"{name} {text[:40]} is negative")
    if len(text) > _MAX_DIGITS or int(text) > MAX_INTEGER:
        raise ValueError(f"{name} {text[:40]} is above {MAX_INTEGER}")
    return int(text)


def _verify_order(before: _Line, after: _Line) -> None:
    """Check one row against the last good one; raises `ValueError` with values and rule."""
    if after.end_ms <= before.end_ms:
        raise ValueError(
            f"interval_end {_iso(after.end_ms)} is not later than {_iso(before.end_ms)} above it"
        )
    registers = (
        ("import_register_wh", before.registers.import_wh, after.registers.import_wh),
        ("export_register_wh", before.registers.export_wh, after.registers.export_wh),
    )
    for name, before_wh, after_wh in registers:
        if after_wh < before_wh:
            raise ValueError(f"{name} falls from {before_wh} to {after_wh}")


def _iso(moment_ms: int) -> str:
    return (_EPOCH + timedelta(milliseconds=moment_ms)).isoformat()


def _report(faults: Sequence[str]) -> str:
    named = list(faults[:MAX_NAMED_FAULTS])
    if len(faults) > len(named):
        named.append(f"and {len(faults) - len(named)} more wrong rows")
    return "\n".join(named)
