"""The records of the energy layer that the HTTP API answers with; the commands read the same.

Quantities are integers with their unit in the name, addresses bech32m, ids hex. Nothing is
imported here but what every command may wait for.
"""

from dataclasses import dataclass

from tangle.outcomes import Reason


@dataclass(frozen=True, slots=True)
class UnitJson:
    """One storage unit."""

    unit: str
    owner: str
    capacity_wh: int
    efficiency_ppm: int
    """Of a charge, what is booked."""

    stored_wh: int
    free_wh: int
    """Of it, what no session holds."""

    sessions: int
    """How many hold the rest."""

    reporter: str | None
    """Who may report for it beside itself."""

    next_report: int
    """Lowest report number that is not used."""


@dataclass(frozen=True, slots=True)
class EnergyJson:
    """Tokens, energy and rules after one milestone."""

    index: int
    timestamp_ms: int
    """Ledger time of that milestone."""

    total_ent_uent: int
    """Free and locked together, as `total_eeuro_ueur`."""

    total_eeuro_ueur: int
    total_energy_wh: int
    gap_uent: int
    """Tokens without energy; negative for energy without tokens."""

    rate_ppm: int
    banker: str | None
    voters: list[str]
    parameters: dict[str, str]
    """By the name that votes use, as people write them."""

    units: list[UnitJson]


@dataclass(frozen=True, slots=True)
class LevelJson:
    """All orders of one side at one price."""

    price_ueur: int
    """Per ENT."""

    amount_uent: int
    orders: int


@dataclass(frozen=True, slots=True)
class DepthJson:
    """The best price levels of both sides, the best first."""

    index: int
    sell: list[LevelJson]
    buy: list[LevelJson]


@dataclass(frozen=True, slots=True)
class OrderJson:
    """One open order."""

    id: str
    owner: str
    side: str
    """`sell` or `buy`."""

    left_uent: int
    """What is not traded yet."""

    price_ueur: int
    """Per ENT: the least a seller takes, the most a buyer pays."""

    posted_index: int
    """Milestone in which it was posted."""

    expires_at_ms: int | None
    """Ledger time from which on it is no more."""


@dataclass(frozen=True, slots=True)
class OrdersJson:
    """Open orders: offers, cheapest first, then bids, dearest first."""

    index: int
    orders: list[OrderJson]
    is_whole: bool
    """Whether the whole book was looked at, and all that was found is here."""


@dataclass(frozen=True, slots=True)
class TradeJson:
    """One trade."""

    id: str
    """Of the transaction that met an order in the book."""

    index: int
    """Of the milestone."""

    timestamp_ms: int
    """Ledger time of the milestone."""

    buyer: str
    seller: str
    buy_order: str
    sell_order: str
    amount_uent: int
    price_ueur: int
    paid_ueur: int


@dataclass(frozen=True, slots=True)
class TradesJson:
    """Trades, the newest first."""

    trades: list[TradeJson]
    next: str | None
    """What to give as `before` to go on; null once this node has no more."""


@dataclass(frozen=True, slots=True)
class CandleJson:
    """The trades of one span of ledger time; prices per ENT."""

    start_ms: int
    open_ueur: int
    high_ueur: int
    low_ueur: int
    close_ueur: int
    amount_uent: int
    paid_ueur: int
    trades: int


@dataclass(frozen=True, slots=True)
class CandlesJson:
    """One candle for each span that has trades, in order of time."""

    span_ms: int
    since_ms: int | None
    """Ledger time of the oldest milestone looked at: the candle around it lacks what was before;
    null if none of these lacks anything that this node has."""

    candles: list[CandleJson]


@dataclass(frozen=True, slots=True)
class SessionJson:
    """Energy of a unit set aside for the member."""

    unit: str
    energy_wh: int
    amount_uent: int
    rate_ppm: int
    expires_at_ms: int
    returns_at_ms: int
    """Until then late reports find it."""

    is_open: bool
    """Whether energy drawn now is in it; if not, it waits for reports of what was drawn before."""


@dataclass(frozen=True, slots=True)
class ConnectionJson:
    """What the member signed for a unit."""

    unit: str
    edge: str
    limit_uent: int
    """Of free ENT, what may still be taken for over-consumption."""

    falls_to_uent: int | None
    """What it is at most once a lower one holds that was signed since."""

    falls_at_ms: int | None
    since_ms: int


@dataclass(frozen=True, slots=True)
class CttTokenJson:
    """One energy account."""

    token: int
    capacity_wh: int
    energy_wh: int
    price_ueur: int | None
    """While it is on sale."""

    approved: str | None
    """Who beside the owner may transfer it."""


@dataclass(frozen=True, slots=True)
class MemberJson:
    """All that the ledger holds for one address."""

    index: int
    address: str
    role: str | None
    """Null for who is not registered."""

    owner: str | None
    """Of a device."""

    next_sequence: int
    ent_uent: int
    ent_locked_uent: int
    eeuro_ueur: int
    eeuro_locked_ueur: int
    withdrawal_ueur: int
    """Of what is locked, what waits to be paid out."""

    sessions: list[SessionJson]
    connections: list[ConnectionJson]
    orders: list[OrderJson]
    orders_whole: bool
    """Whether the whole book was looked at."""

    ctt_available_wh: int
    ctt_limit_w: int | None
    """What may still be drawn when nothing is available; null if never interrupted."""

    ctt_uncovered_wh: int
    ctt_tokens: list[CttTokenJson]


@dataclass(frozen=True, slots=True)
class ChangeJson:
    """One query that would be answered otherwise."""

    key: str
    now: str | list[str]
    then: str | list[str]


@dataclass(frozen=True, slots=True)
class VoteJson:
    """An act that is not decided yet."""

    act: str
    arguments: dict[str, str | list[str]]
    """In plain units, as a ballot is written."""

    opener: str
    opened_at_ms: int
    lapses_at_ms: int
    yes: list[str]
    """Addresses; those who are no voters any more do not count."""

    no: list[str]
    counted: int
    """Of `yes`, the voters of the moment."""

    needed: int
    """Votes with which it passes."""

    refused: Reason | None
    """Why it could not be carried out now; null if it could."""

    changes: list[ChangeJson]
    """What it would change if it passed now."""


@dataclass(frozen=True, slots=True)
class VotesJson:
    """The open votes, in order of opening."""

    index: int
    voters: int
    votes: list[VoteJson]


@dataclass(frozen=True, slots=True)
class SettledJson:
    """What all homes and storage units settled at a node come to together, since it settles; Wh."""

    through_ms: int
    """Ledger time up to which they are settled."""

    produced_wh: int
    """By roofs that have a meter of their own."""

    used_wh: int
    import_wh: int
    """By homes, their own production netted in each slot; as `export_wh`."""

    export_wh: int
    charged_wh: int
    """Of the members' surplus, wherever they are homed, into the units settled here."""

    drawn_wh: int
    """Out of them by members."""

    unit_grid_wh: int
    """What they were charged with and no member's surplus covers."""

    unit_feed_in_wh: int
    """What they gave and no member needed."""


@dataclass(frozen=True, slots=True)
class SettlementJson:
    """How settling stood at a node after each of the last periods, the newest last."""

    is_shown: bool
    """Whether the node tells: it does not unless its operator wants it to."""

    periods: list[SettledJson]
