"""What the people of a demonstration see before they act: the ledger, as any node answers it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from energy.bank import banker, withdrawal_ueur
from energy.governance.acts import Act
from energy.governance.contract import open_votes
from energy.locked import locked
from energy.market.book import depth, side_of_book
from energy.members import voters
from energy.parameters import RULES, parameters, value_of
from energy.powerchain.records import connection_at, sessions_at, unit_at
from tangle.accounts import NO_ADDRESS, Token, balance
from tangle.address import Address
from tangle.rows import RowReader


@dataclass(frozen=True, slots=True)
class UnitSeen:
    """A storage unit."""

    capacity_wh: int
    stored_wh: int
    free_wh: int
    """Of it, what no session holds."""

    reporter: Address | None


@dataclass(frozen=True, slots=True)
class SessionSeen:
    """A member's newest session at the unit: the only one that may be open."""

    amount_uent: int
    expires_at_ms: int


@dataclass(frozen=True, slots=True)
class AccountSeen:
    """What one address holds, and what it has agreed to."""

    ent_uent: int = 0
    """Free, as `eeuro_ueur`."""

    eeuro_ueur: int = 0
    eeuro_locked_ueur: int = 0
    withdrawal_ueur: int = 0
    """Of what is locked, what the banker is asked to pay out."""

    limit_uent: int | None = None
    """What may still be taken for energy drawn beyond sessions; `None`: not connected."""

    session: SessionSeen | None = None
    selling_uent: int = 0
    """Of it in own open orders, as `buying_uent`."""

    buying_uent: int = 0


@dataclass(frozen=True, slots=True)
class VoteSeen:
    """An open vote."""

    act: Act
    balloted: frozenset[Address]
    """Who has voted on it already, yes or no."""


@dataclass(frozen=True, slots=True)
class Sight:
    """All that the people of one community see at one moment."""

    unit: UnitSeen | None = None
    """`None` until the voters have registered it."""

    banker: Address | None = None
    voters: frozenset[Address] = frozenset()
    votes: tuple[VoteSeen, ...] = ()
    parameters: Mapping[str, int] = field(default_factory=dict)
    """By the name that votes use, in base units."""

    best_ask_ueur: int | None = None
    best_bid_ueur: int | None = None
    accounts: Mapping[Address, AccountSeen] = field(default_factory=dict)
    """Of those who are looked at."""

    def account(self, address: Address) -> AccountSeen:
        """Return what an address holds: nothing, if it was not looked at."""
        return self.accounts.get(address, _NOTHING)


_NOTHING = AccountSeen()


def see(rows: RowReader, unit: Address, members: Iterable[Address]) -> Sight:
    """Return what the rows of a ledger show of one unit and of some members."""
    held, rules, asks, bids = unit_at(rows, unit), parameters(rows), *_best(rows)
    orders = _orders(rows)
    return Sight(
        unit=None
        if held is None
        else UnitSeen(
            held.capacity_wh,
            held.stored_wh,
            held.free_wh,
            None if held.reporter == NO_ADDRESS else Address(held.reporter),
        ),
        banker=banker(rows),
        voters=voters(rows),
        votes=tuple(
            VoteSeen(one.act, frozenset(Address(voter) for voter in (*one.yes, *one.no)))
            for one in open_votes(rows)
        ),
        parameters={name: value_of(rules, name) for name in RULES},
        best_ask_ueur=asks,
        best_bid_ueur=bids,
        accounts={one: _account(rows, unit, one, orders) for one in members},
    )


def _best(rows: RowReader) -> tuple[int | None, int | None]:
    """Return the lowest price asked and the highest bid."""
    sell, buy = depth(rows, "sell", 1), depth(rows, "buy", 1)
    return (sell[0].price_ueur if sell else None, buy[0].price_ueur if buy else None)


def _orders(rows: RowReader) -> Mapping[tuple[Address, str], int]:
    """Return what is open by owner and side."""
    open_uent: dict[tuple[Address, str], int] = {}
    for side in ("sell", "buy"):
        for one in side_of_book(rows, side):
            key = (Address(one.owner), side)
            open_uent[key] = open_uent.get(key, 0) + one.left_uent
    return open_uent


def _account(
    rows: RowReader, unit: Address, address: Address, orders: Mapping[tuple[Address, str], int]
) -> AccountSeen:
    signed, sessions = connection_at(rows, unit, address), sessions_at(rows, unit, address)
    return AccountSeen(
        ent_uent=balance(rows, Token.ENT, address),
        eeuro_ueur=balance(rows, Token.EEURO, address),
        eeuro_locked_ueur=locked(rows, Token.EEURO, address),
        withdrawal_ueur=withdrawal_ueur(rows, address),
        limit_uent=None if signed is None else signed.limit_uent,
        session=SessionSeen(sessions[-1].amount_uent, sessions[-1].expires_at_ms)
        if sessions
        else None,
        selling_uent=orders.get((address, "sell"), 0),
        buying_uent=orders.get((address, "buy"), 0),
    )
