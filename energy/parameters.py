"""The numbers that a community may vote on: defaults, ranges, and how people write them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from energy.units import (
    DAY_MS,
    DURATION,
    HOUR_MS,
    MINUTE_MS,
    PPM,
    QUARTER_MS,
    RATE,
    Unit,
    parse,
    render,
)
from tangle.codec import Decoder, encode
from tangle.errors import InvalidError
from tangle.rows import RowReader
from tangle.transaction import Counter

PARAMETERS_KEY: Final = b"parameters"
_MAX_ROW_SIZE: Final = 1_024


class EnergyParameters(msgspec.Struct, frozen=True, array_like=True):
    """A row, once anything was changed by vote; before that, these defaults."""

    mint_cap_ppm: Counter = 500_000
    """M: at most this part of a kilowatt-hour's tokens is withheld, or added, when minting."""

    burn_cap_ppm: Counter = 500_000
    """B: the same when burning."""

    cost_ppm: Counter = 50_000
    """C: the cost rate that one ENT of gap makes."""

    session_ms: Counter = 2 * HOUR_MS
    """H: how long a session is valid, ledger time."""

    owner_share_ppm: Counter = 200_000
    """F: of what is minted, for the owner of the storage unit."""

    surplus: Counter = 0
    """Index into `SURPLUS`: what happens while there is more energy than tokens."""

    settlement_period_ms: Counter = DAY_MS
    report_grace_ms: Counter | None = None
    """How long after its expiry a session waits for late reports; two settlement periods unless
    voted otherwise."""

    trade_price: Counter = 0
    """Index into `TRADE_PRICES`."""

    community_fund: Counter = 1
    """Index into `SWITCH`: whether voters may mint and burn eEuro without a banker."""

    @property
    def grace_ms(self) -> int:
        """How long a session waits for late reports, ledger time."""
        if self.report_grace_ms is None:
            return 2 * self.settlement_period_ms
        return self.report_grace_ms

    def slot_end_ms(self, timestamp_ms: int) -> int:
        """Return when the slot that is running then ends: what is metered in it is one sum."""
        slot_ms = min(QUARTER_MS, self.settlement_period_ms)
        return (timestamp_ms // slot_ms + 1) * slot_ms

    @property
    def has_bonus(self) -> bool:
        """Whether a surplus is given away: more tokens for energy, less for consumption."""
        return SURPLUS[self.surplus] == "bonus"

    @property
    def has_fund(self) -> bool:
        """Whether votes mint and burn eEuro."""
        return SWITCH[self.community_fund] == "on"


SURPLUS: Final = ("bonus", "none")
TRADE_PRICES: Final = ("resting", "mid", "ask")
"""Who sets the price of a trade: the order that was there first, both by half, the seller."""

SWITCH: Final = ("off", "on")


@dataclass(frozen=True, slots=True)
class Rule:
    """What one parameter may be."""

    field: str
    """In `EnergyParameters`."""

    low: int
    high: int
    written: Unit | tuple[str, ...]
    """The unit that people write, or the words, by index."""


RULES: Final[Mapping[str, Rule]] = {
    "M": Rule("mint_cap_ppm", 0, PPM, RATE),
    "B": Rule("burn_cap_ppm", 0, PPM, RATE),
    "C": Rule("cost_ppm", 1, PPM - 1, RATE),
    "H": Rule("session_ms", MINUTE_MS, 366 * DAY_MS, DURATION),
    "F": Rule("owner_share_ppm", 0, PPM, RATE),
    "surplus": Rule("surplus", 0, len(SURPLUS) - 1, SURPLUS),
    "settlement_period": Rule("settlement_period_ms", MINUTE_MS, 31 * DAY_MS, DURATION),
    "report_grace": Rule("report_grace_ms", 0, 62 * DAY_MS, DURATION),
    "trade_price": Rule("trade_price", 0, len(TRADE_PRICES) - 1, TRADE_PRICES),
    "community_fund": Rule("community_fund", 0, len(SWITCH) - 1, SWITCH),
}
"""By the name that votes use."""

_DEFAULTS: Final = EnergyParameters()
_parameters: Final = Decoder(EnergyParameters, "parameters row", _MAX_ROW_SIZE)


def parameters(rows: RowReader) -> EnergyParameters:
    """Return what holds in this milestone."""
    value = rows.get(PARAMETERS_KEY)
    return _DEFAULTS if value is None else _parameters.read(value)


def parameters_row(changed: EnergyParameters) -> bytes | None:
    """Return the value of the row; the defaults need none."""
    return None if changed == _DEFAULTS else encode(changed)


def with_parameter(old: EnergyParameters, name: str, value: int) -> EnergyParameters:
    """Return the parameters with one of them changed; name and value were checked at the vote."""
    return msgspec.structs.replace(old, **{RULES[name].field: value})


def value_of(held: EnergyParameters, name: str) -> int:
    """Return one parameter in base units. Raises `InvalidError` for a name that is none."""
    rule = _rule(name)
    return held.grace_ms if name == "report_grace" else int(getattr(held, rule.field))


def parse_parameter(name: str, text: str) -> int:
    """Return a parameter as people write it in base units, whether in range or not.

    Raises:
        InvalidError: No such parameter, or not written as that one is.
    """
    rule = _rule(name)
    if isinstance(rule.written, Unit):
        return parse(text, rule.written)
    if text not in rule.written:
        raise InvalidError(f"parameter {name}: {text!r} is none of {', '.join(rule.written)}")
    return rule.written.index(text)


def render_parameter(name: str, value: int) -> str:
    """Return a parameter in base units as people write it. Raises `InvalidError`."""
    rule = _rule(name)
    return render(value, rule.written) if isinstance(rule.written, Unit) else rule.written[value]


def _rule(name: str) -> Rule:
    if name not in RULES:
        raise InvalidError(f"parameter {name!r} is none of {', '.join(RULES)}")
    return RULES[name]
