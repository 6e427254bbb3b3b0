"""The books of an energy community, counted anew from the rows of its ledger."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from energy import bank
from energy.ctt.rows import (
    Account,
    CttToken,
    account,
    charged_tokens,
    collection,
    token,
    tokens_of,
    tokens_with_room,
)
from energy.locked import ENERGY, MAX_ENERGY_WH
from energy.market.book import Order, Side, expiry_key, find_order, locked_by, side_of_book
from energy.powerchain.records import Session, gap_of, sessions_at, sessions_of, storage_units
from energy.powerchain.sessions import MAX_SESSIONS
from tangle.accounts import Token, amount_at, total_key
from tangle.address import Address
from tangle.ledger import Ledger
from tangle.transaction import (
    MAX_INTEGER,
    TransactionId,
)


def _by_address(ledger: Ledger, prefix: bytes) -> dict[Address, int]:
    return {
        Address(row.removeprefix(prefix)): amount_at(ledger.rows, row)
        for row in ledger.rows.walk(prefix)
    }


def _orders(ledger: Ledger) -> Iterator[Order]:
    sides: tuple[Side, ...] = ("sell", "buy")
    for side in sides:
        yield from side_of_book(ledger.rows, side)


def check_tokens(ledger: Ledger) -> None:
    """What is held adds up to what there is, what is bound to what binds it."""
    bound: defaultdict[tuple[Token, Address], int] = defaultdict(int)
    for order in _orders(ledger):
        of, amount = locked_by(order)
        bound[of, Address(order.owner)] += amount
    for unit, _ in storage_units(ledger.rows):
        for member, session in sessions_of(ledger.rows, unit):
            bound[Token.ENT, member] += session.amount_uent
    for row in ledger.rows.walk(bank.WITHDRAWAL_PREFIX):
        member = Address(row.removeprefix(bank.WITHDRAWAL_PREFIX))
        bound[Token.EEURO, member] += bank.withdrawal_ueur(ledger.rows, member)
    for of in Token:
        free = _by_address(ledger, f"balance/{of}/".encode())
        locked = _by_address(ledger, f"locked/{of}/".encode())
        assert all(amount > 0 for amount in (*free.values(), *locked.values()))
        whole = amount_at(ledger.rows, total_key(of))
        assert sum(free.values()) + sum(locked.values()) == whole <= MAX_INTEGER
        assert locked == {one: amount for (kind, one), amount in bound.items() if kind is of}


def check_energy(ledger: Ledger, now_ms: int) -> None:
    """What units store adds up, what sessions hold is there, and the rate fits the gap."""
    units = dict(storage_units(ledger.rows))
    stored_wh = sum(unit.stored_wh for unit in units.values())
    assert amount_at(ledger.rows, total_key(ENERGY)) == stored_wh <= MAX_ENERGY_WH
    sessions = 0
    for address, unit in units.items():
        held = [session for _, session in sessions_of(ledger.rows, address)]
        sessions += len(held)
        assert unit.free_wh + sum(one.energy_wh for one in held) == unit.stored_wh
        assert unit.stored_wh <= unit.capacity_wh
        assert all(one.energy_wh > 0 for one in held)
        assert all(one.amount_uent >= 1_000 * one.energy_wh for one in held)
        assert all(one.returns_at_ms > now_ms for one in held)
        assert unit.reporter != address
        for member in {member for member, _ in sessions_of(ledger.rows, address)}:
            check_sessions(sessions_at(ledger.rows, address, member))
    assert len(list(ledger.rows.walk(b"energy/expiry/"))) == sessions
    gap = gap_of(ledger.rows)
    assert (gap.rate_ppm == 0) == (gap.gap_uent == 0)


def check_sessions(held: Sequence[Session]) -> None:
    """Of one member at one unit: numbered in order of opening, all but the newest are over."""
    numbers = [one.number for one in held]
    assert numbers == sorted(set(numbers))
    assert len(held) <= MAX_SESSIONS


def check_book(ledger: Ledger, now_ms: int) -> None:
    """Every order is found by its id and its expiry, none has expired, and no two cross."""
    orders, expiries = list(_orders(ledger)), 0
    for order in orders:
        assert find_order(ledger.rows, TransactionId(order.order_id)) == order
        assert order.left_uent > 0 == order.left_uent % 1_000
        if order.expires_at_ms:
            expiries += 1
            assert order.expires_at_ms > now_ms
            assert ledger.rows.get(expiry_key(order)) is not None
    assert len(list(ledger.rows.walk(b"market/order/"))) == len(orders)
    assert len(list(ledger.rows.walk(b"market/expiry/"))) == expiries
    asks = [one.place.price_ueur for one in side_of_book(ledger.rows, "sell")]
    bids = [one.place.price_ueur for one in side_of_book(ledger.rows, "buy")]
    assert asks == sorted(asks)
    assert bids == sorted(bids, reverse=True)
    assert not asks or not bids or asks[0] > bids[0]


def check_ctt(ledger: Ledger) -> None:
    """Each token has one owner who finds it, and accounts say what is on tokens not on sale."""
    made = collection(ledger.rows)
    if made is None:
        return
    assert made.made <= made.max_tokens
    charged, roomy = 0, 0
    available: Counter[bytes] = Counter()
    owned: defaultdict[bytes, list[int]] = defaultdict(list)
    for number in range(made.made):
        one = token(ledger.rows, number)
        assert isinstance(one, CttToken)
        assert one.energy_wh <= one.capacity_wh
        owned[one.owner].append(number)
        if one.sale is None and one.energy_wh:
            charged += 1
            assert number in charged_tokens(ledger.rows, Address(one.owner))
        if one.sale is None and one.energy_wh < one.capacity_wh:
            roomy += 1
            assert number in tokens_with_room(ledger.rows, Address(one.owner))
        available[one.owner] += 0 if one.sale is not None else one.energy_wh
    for row in ledger.rows.walk(b"ctt/account/"):
        owner = Address(row.removeprefix(b"ctt/account/"))
        held = account(ledger.rows, owner)
        assert held != Account()
        assert held.available_wh == available.pop(owner, 0)
    assert not +available
    for owner_bytes, numbers in owned.items():
        assert list(tokens_of(ledger.rows, Address(owner_bytes))) == numbers
    for prefix, count in ((b"held", made.made), (b"charged", charged), (b"room", roomy)):
        assert len(list(ledger.rows.walk(b"ctt/" + prefix + b"/"))) == count
