"""Sums and tariffs as people keep them: a table of days as CSV, prices as TOML. Exact both ways."""

import tomllib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from energy.bills.days import day_text, parse_day
from energy.bills.sums import DaySum, verify_sums
from energy.bills.tariffs import Tariff, verify_tariffs
from energy.forms.fields import Known, values
from energy.forms.operations import TARIFF
from tangle.errors import InvalidError
from tangle.transaction import MAX_INTEGER

MAX_SUMS: Final = 100_000
"""Lines of one table: regimes of a metering point over some lives."""

_NOBODY: Final = Known({}, {}, {}, 0)
_REGIMES: Final = ("storage", "ctt", "grid")
_FLAGS: Final = {"true": True, "false": False}


def parse_tariffs(text: str) -> list[Tariff]:
    """Return the tariffs of a TOML file: tables `[[tariff]]`, ascending by `from_day`.

    Raises:
        InvalidError: Not TOML, a field breaks its rule, or they do not ascend.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidError(f"tariffs: {error}") from error
    found = tables.pop("tariff", [])
    if tables or not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InvalidError("tariffs: a file of tables [[tariff]], and nothing else, is wanted")
    tariffs = [_tariff(at, table) for at, table in enumerate(found, 1)]
    verify_tariffs(tariffs)
    return tariffs


def _tariff(at: int, table: dict[str, Any]) -> Tariff:
    try:
        return Tariff(**values(TARIFF, table, _NOBODY))  # type: ignore[arg-type] # the readers say what they return
    except InvalidError as error:
        raise InvalidError(f"tariff {at}: {error}") from error


def parse_sums(text: str) -> list[DaySum]:
    """Return the sums of a CSV table with a header; columns that are not there are 0, or unknown.

    Raises:
        InvalidError: A column or a cell is not what it must be, or the sums break their rules.
    """
    header, *lines = [line.split(",") for line in text.splitlines() if line.strip()] or [[]]
    unknown = [name for name in header if name not in _CELLS]
    if unknown or "day" not in header or "regime" not in header or len(set(header)) < len(header):
        raise InvalidError(
            f"sums: columns {','.join(header)[:200]!r}: there are {', '.join(_CELLS)}, each once;"
            " day and regime are needed"
        )
    if len(lines) > MAX_SUMS:
        raise InvalidError(f"sums: {len(lines)} lines, at most {MAX_SUMS}")
    sums = [_sum(at, header, cells) for at, cells in enumerate(lines, 1)]
    verify_sums(sums)
    return sums


def sums_csv(sums: Iterable[DaySum]) -> str:
    """Return sums as the table that `parse_sums` reads back."""
    lines = [",".join(_CELLS)]
    lines += [",".join(_written(name, getattr(one, name)) for name in _CELLS) for one in sums]
    return "\n".join(lines) + "\n"


def _sum(at: int, header: Sequence[str], cells: Sequence[str]) -> DaySum:
    if len(cells) != len(header):
        raise InvalidError(f"sums, line {at}: {len(cells)} cells under {len(header)} columns")
    read: dict[str, Any] = {}
    for name, cell in zip(header, cells, strict=True):
        try:
            read[name] = _CELLS[name](cell.strip())
        except InvalidError as error:
            raise InvalidError(f"sums, line {at}, {name}: {error}") from error
    return DaySum(**read)


def _written(name: str, value: Any) -> str:  # noqa: ANN401 # a cell of any column
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return day_text(value) if name == "day" else str(value)


def _regime(cell: str) -> str:
    if cell not in _REGIMES:
        raise InvalidError(f"{cell!r} is none of {', '.join(_REGIMES)}")
    return cell


def _energy(cell: str) -> int:
    if not (cell.isascii() and cell.isdigit()) or len(cell) > len(str(MAX_INTEGER)):
        raise InvalidError(f"{cell[:40]!r} is no whole number of Wh")
    if int(cell) > MAX_INTEGER:
        raise InvalidError(f"{cell} Wh: at most {MAX_INTEGER}")
    return int(cell)


def _energy_or_unknown(cell: str) -> int | None:
    return _energy(cell) if cell else None


def _flag(cell: str) -> bool:
    if cell not in _FLAGS:
        raise InvalidError(f"{cell!r} is neither true nor false")
    return _FLAGS[cell]


_CELLS: Final[dict[str, Callable[[str], object]]] = {
    "day": parse_day,
    "regime": _regime,
    "from_storage_wh": _energy,
    "from_ctt_wh": _energy,
    "from_grid_wh": _energy,
    "charged_wh": _energy,
    "feed_in_wh": _energy,
    "is_estimated": _flag,
    "produced_wh": _energy_or_unknown,
    "load_wh": _energy_or_unknown,
}
"""How a cell of each column is read."""
