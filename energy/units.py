"""Plain units for people, integers for the ledger: exact both ways, never a float.

`7.35 ENT` is 7,350,000 µENT, `10 kWh` is 10,000 Wh, `0.5 EUR/ENT` is 500,000 µEUR per ENT. What
does not come out in whole base units is refused, never rounded.
"""

import re
from dataclasses import dataclass
from typing import Final

from tangle.errors import InvalidError
from tangle.transaction import MAX_INTEGER

PPM: Final = 1_000_000
"""A whole in parts per million: 100 %."""

UENT_PER_ENT: Final = 1_000_000
UEUR_PER_EUR: Final = 1_000_000
WH_PER_KWH: Final = 1_000
UENT_PER_WH: Final = 1_000
"""At par: one ENT is one kilowatt-hour."""

MINUTE_MS: Final = 60_000
QUARTER_MS: Final = 15 * MINUTE_MS
"""A quarter of an hour: what meters count in."""

HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

_NUMBER: Final = re.compile(r"(-?)([0-9]{1,19})(?:\.([0-9]{1,19}))? ?([A-Za-z/]*)")


@dataclass(frozen=True, slots=True)
class Unit:
    """A kind of quantity: what people write after the number, and what it counts."""

    name: str
    suffixes: tuple[tuple[str, int], ...]
    """Suffix and base units per one of it."""

    written_in: str | None = None
    """The suffix that `render` writes; with none named, the first that gives a whole number."""

    gap: str = " "
    """Between number and suffix as `render` writes it."""


ENT: Final = Unit("energy tokens", (("ENT", UENT_PER_ENT),), "ENT")
"""Base unit µENT."""

EUR: Final = Unit("money", (("EUR", UEUR_PER_EUR),), "EUR")
"""Base unit µEUR."""

ENERGY: Final = Unit("energy", (("kWh", WH_PER_KWH), ("Wh", 1), ("MWh", 1_000_000)), "kWh")
"""Base unit Wh."""

PRICE: Final = Unit("price", (("EUR/ENT", UEUR_PER_EUR),), "EUR/ENT")
"""Base unit µEUR per ENT."""

KWH_PRICE: Final = Unit("price of energy", (("EUR/kWh", UEUR_PER_EUR),), "EUR/kWh")
"""Base unit µEUR per kWh."""

RATE: Final = Unit("rate", (("", PPM),), "", gap="")
"""Base unit ppm; written as a plain decimal: 0.05."""

DURATION: Final = Unit(
    "duration",
    (("d", DAY_MS), ("h", HOUR_MS), ("min", MINUTE_MS), ("s", 1_000), ("ms", 1)),
    gap="",
)
"""Base unit ms: `2h`, `15min`, `30d`."""


def parse(text: str, unit: Unit) -> int:
    """Return `text` in base units of `unit`, exactly.

    Raises:
        InvalidError: Not a number with one of the unit's suffixes, finer than its base unit, or
            beyond the range of the ledger's integers.
    """
    found = _NUMBER.fullmatch(text)
    scale = None if found is None else dict(unit.suffixes).get(found[4])
    if found is None or scale is None:
        allowed = ", ".join(repr(suffix) for suffix, _ in unit.suffixes)
        raise InvalidError(f"{unit.name} {text!r}: a decimal number and one of {allowed} is wanted")
    decimals = found[3] or ""
    value, rest = divmod(int(found[2] + decimals) * scale, int("1" + "0" * len(decimals)))
    if rest:
        raise InvalidError(f"{unit.name} {text!r}: finer than one part in {scale} of it")
    if value > MAX_INTEGER:
        raise InvalidError(f"{unit.name} {text!r}: {value} base units, at most {MAX_INTEGER}")
    return -value if found[1] else value


def render(value: int, unit: Unit) -> str:
    """Return `value` base units as text, the shortest that `parse` reads back."""
    suffix = unit.written_in
    if suffix is None:
        suffix = next(name for name, scale in unit.suffixes if value % scale == 0)
    scale = dict(unit.suffixes)[suffix]
    whole, rest = divmod(abs(value), scale)
    decimals = f".{rest * UENT_PER_ENT // scale:06d}".rstrip("0") if rest else ""
    sign = "-" if value < 0 else ""
    return f"{sign}{whole}{decimals}{unit.gap}{suffix}"
