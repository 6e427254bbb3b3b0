"""Does it all add up? The equations of energy and money, over rows, events, sums and documents.

An equation holds, is broken, or cannot be computed for want of data, and then says why: what is
not known is not 0.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from energy.bank import WITHDRAWAL_PREFIX, withdrawal_ueur
from energy.bills.days import day_text
from energy.bills.documents import Bill, bill_digest, issuer_of
from energy.bills.rows import issued_bill, issued_bills, issuers
from energy.bills.sums import DaySum
from energy.ctt.rows import ACCOUNT_PREFIX, TOKEN_PREFIX, account, collection, token
from energy.locked import ENERGY, locked, total
from energy.market.book import locked_by, side_of_book
from energy.powerchain.records import StorageUnit, sessions_of, storage_units, unit_at
from energy.units import PPM
from tangle.accounts import Token, amount_at, balance_key, locked_key, total_key
from tangle.address import Address, encode_address
from tangle.hashing import HASH_SIZE
from tangle.outcomes import Event
from tangle.rows import RowReader

Side = int | str | None
"""A number in base units, a digest in hex, or nothing known."""


class Verdict(StrEnum):
    """What became of an equation."""

    HOLDS = "holds"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Equation:
    """Two ways to the same amount."""

    name: str
    says: str
    """Both sides in words."""

    subject: str
    """Whose: an address, a day, a number; empty for all together."""

    left: Side
    right: Side
    unit: str
    why_unknown: str = ""

    @property
    def verdict(self) -> Verdict:
        """Whether it holds; unknown if one side is."""
        if self.left is None or self.right is None:
            return Verdict.UNKNOWN
        return Verdict.HOLDS if self.left == self.right else Verdict.BROKEN


_UNITS: Final = {Token.ENT: "µENT", Token.EEURO: "µEUR"}
_NAMES: Final = {Token.ENT: "ent", Token.EEURO: "eeuro"}


def audit_rows(rows: RowReader) -> list[Equation]:
    """Return the equations that one state of the ledger must hold."""
    return [
        *(_total(rows, one) for one in Token),
        *_locks(rows, Token.ENT, _bound_ent(rows)),
        *_locks(rows, Token.EEURO, _bound_eeuro(rows)),
        *_storage(rows),
        *_accounts(rows),
        *(_numbers(rows, issuer, last) for issuer, last in issuers(rows)),
    ]


def audit_flows(before: RowReader, after: RowReader, events: Sequence[Event]) -> list[Equation]:
    """Return the equations between two states and what operations reported in between.

    Args:
        before: State at the beginning of the period.
        after: State at its end.
        events: Of all operations applied in between.
    """
    made = Counter[str]()
    for event in events:
        fields = dict(event.fields)
        for name, amount in _amounts(event.name, fields):
            made[name] += amount
    flows = [_token_flow(before, after, one, made) for one in Token]
    named = {address for rows in (before, after) for address, _ in storage_units(rows)}
    named |= {address for event in events if (address := _unit_of(event)) is not None}
    return [*flows, *(_unit_flow(before, after, unit, events) for unit in sorted(named))]


def unknown_flows(why: str) -> list[Equation]:
    """Return the equations of a period of which nothing can be computed, and why."""
    flows = {"ent.flow": "µENT", "eeuro.flow": "µEUR", "unit.flow": "Wh"}
    return [
        Equation(name, "end = start + what came - what went", "", None, None, unit, why)
        for name, unit in flows.items()
    ]


def audit_home(customer: Address, sums: Iterable[DaySum]) -> list[Equation]:
    """Return, for each day and regime: PV + import + discharge = load + export + charge."""
    found = []
    for one in sums:
        drawn_wh = one.from_grid_wh + one.from_storage_wh + one.from_ctt_wh
        given_wh = one.feed_in_wh + one.charged_wh
        is_known = one.produced_wh is not None and one.load_wh is not None
        found.append(
            Equation(
                "home.energy",
                "PV + import + discharge = load + export + charge",
                f"{encode_address(customer)} {day_text(one.day)} {one.regime}",
                drawn_wh + one.produced_wh if one.produced_wh is not None else None,
                given_wh + one.load_wh if one.load_wh is not None else None,
                "Wh",
                "" if is_known else "no meter of its own says what was produced, or used in all",
            )
        )
    return found


def audit_bills(
    rows: RowReader, documents: Iterable[Bill], events: Sequence[Event] | None
) -> list[Equation]:
    """Return the equations of documents, their rows, and the money that moved.

    Args:
        rows: State after the last of the events.
        documents: All there are: of a number without one, the money is not known.
        events: Of all operations ever applied; `None` if they are not known.
    """
    by_number = {(issuer_of(one), one.number): one for one in documents}
    found = [_document(rows, bill) for _, bill in sorted(by_number.items())]
    for issuer, last in issuers(rows):
        own = [by_number.get((issuer, number)) for number in range(1, last + 1)]
        found += _money(rows, issuer, own, events)
    return found


def _total(rows: RowReader, token: Token) -> Equation:
    sides = (balance_key(token, Address(b"")), locked_key(token, Address(b"")))
    held = sum(amount_at(rows, key) for prefix in sides for key in rows.walk(prefix))
    name = _NAMES[token]
    says = f"free + locked {name} of all = total"
    return Equation(f"{name}.total", says, "", held, total(rows, token), _UNITS[token])


def _bound_ent(rows: RowReader) -> Counter[Address]:
    bound = Counter[Address]()
    for unit, _ in storage_units(rows):
        for member, session in sessions_of(rows, unit):
            bound[member] += session.amount_uent
    return bound + _in_orders(rows, Token.ENT)


def _bound_eeuro(rows: RowReader) -> Counter[Address]:
    bound = Counter[Address]()
    for key in rows.walk(WITHDRAWAL_PREFIX):
        member = Address(key.removeprefix(WITHDRAWAL_PREFIX))
        bound[member] += withdrawal_ueur(rows, member)
    return bound + _in_orders(rows, Token.EEURO)


def _in_orders(rows: RowReader, token: Token) -> Counter[Address]:
    bound = Counter[Address]()
    for order in side_of_book(rows, "sell" if token is Token.ENT else "buy"):
        bound[Address(order.owner)] += locked_by(order)[1]
    return bound


def _locks(rows: RowReader, token: Token, bound: Counter[Address]) -> Iterator[Equation]:
    """Yield the sum of all locks, then those of addresses for whom it is broken."""
    what = "sessions" if token is Token.ENT else "withdrawals"
    name, says = f"{_NAMES[token]}.locked", f"locked = open orders + {what}"
    prefix = locked_key(token, Address(b""))
    holders = {Address(key.removeprefix(prefix)) for key in rows.walk(prefix)} | set(bound)
    held = {one: locked(rows, token, one) for one in sorted(holders)}
    unit = _UNITS[token]
    yield Equation(name, says, "", sum(held.values()), bound.total(), unit)
    for one, amount in held.items():
        if amount != bound[one]:
            yield Equation(name, says, encode_address(one), amount, bound[one], unit)


def _storage(rows: RowReader) -> Iterator[Equation]:
    units = list(storage_units(rows))
    stored_wh = sum(unit.stored_wh for _, unit in units)
    energy_wh = amount_at(rows, total_key(ENERGY))
    yield Equation("energy.total", "stored in all units = total", "", stored_wh, energy_wh, "Wh")
    for address, unit in units:
        held_wh = unit.free_wh + sum(one.energy_wh for _, one in sessions_of(rows, address))
        subject, says = encode_address(address), "stored = free + sessions"
        yield Equation("unit.sessions", says, subject, unit.stored_wh, held_wh, "Wh")


def _accounts(rows: RowReader) -> Iterator[Equation]:
    there = collection(rows)
    if there is None:
        return
    available = Counter[Address]()
    count = 0
    for key in rows.walk(TOKEN_PREFIX):
        one = token(rows, int.from_bytes(key.removeprefix(TOKEN_PREFIX), "big"))
        assert one is not None, f"key {key!r} is in order without a row"
        count += 1
        if one.sale is None:
            available[Address(one.owner)] += one.energy_wh
    yield Equation("ctt.tokens", "tokens made = tokens there", "", there.made, count, "tokens")
    named = {Address(key.removeprefix(ACCOUNT_PREFIX)) for key in rows.walk(ACCOUNT_PREFIX)}
    says = "available = on board of tokens not on sale"
    held = {one: account(rows, one).available_wh for one in sorted(named | set(available))}
    yield Equation("ctt.available", says, "", sum(held.values()), available.total(), "Wh")
    for one_address, held_wh in held.items():
        if held_wh != available[one_address]:
            subject = encode_address(one_address)
            yield Equation("ctt.available", says, subject, held_wh, available[one_address], "Wh")


def _numbers(rows: RowReader, issuer: Address, last: int) -> Equation:
    says, subject = "last number = documents there", encode_address(issuer)
    count = sum(1 for _ in issued_bills(rows, issuer))
    return Equation("bill.numbers", says, subject, last, count, "documents")


def _amounts(name: str, fields: Mapping[str, str | int | bytes]) -> Iterator[tuple[str, int]]:
    """Yield what an event mints or burns."""
    match name:
        case "energy.produced":
            minted = int(fields["producer_uent"]) + int(fields["owner_uent"])
            yield "ent.minted", minted
        case "energy.drawn" | "energy.over_consumed":
            yield "ent.burned", int(fields["burned_uent"])
        case "bank.minted":
            yield "eeuro.minted", int(fields["amount_ueur"])
        case "bank.burned":
            yield "eeuro.burned", int(fields["amount_ueur"])
        case _:
            return


def _token_flow(
    before: RowReader, after: RowReader, token: Token, made: Mapping[str, int]
) -> Equation:
    name = _NAMES[token]
    flow = made[f"{name}.minted"] - made[f"{name}.burned"]
    says = f"{name} at the end = at the start + minted - burned"
    left, right = total(after, token), total(before, token) + flow
    return Equation(f"{name}.flow", says, "", left, right, _UNITS[token])


def _unit_of(event: Event) -> Address | None:
    unit = dict(event.fields).get("unit")
    return Address(unit) if isinstance(unit, bytes) and len(unit) == HASH_SIZE else None


def _unit_flow(
    before: RowReader, after: RowReader, unit: Address, events: Iterable[Event]
) -> Equation:
    start, end = unit_at(before, unit), unit_at(after, unit)
    known = end or start
    flow_wh = 0
    for event in events:
        if _unit_of(event) == unit:
            flow_wh += _change_wh(event.name, dict(event.fields), known)
    return Equation(
        "unit.flow",
        "stored = start + charge x efficiency - discharge - loss",
        encode_address(unit),
        0 if end is None else end.stored_wh,
        (0 if start is None else start.stored_wh) + flow_wh,
        "Wh",
    )


def _change_wh(
    name: str, fields: Mapping[str, str | int | bytes], known: StorageUnit | None
) -> int:
    """Return what an event does to what a unit stores."""
    match name:
        case "energy.produced" if known is None:
            return int(fields["booked_wh"])  # registered and removed within the period
        case "energy.produced":
            assert known is not None, "the case before has no unit"
            return int(fields["energy_wh"]) * known.efficiency_ppm // PPM
        case "energy.consumed":
            return -int(fields["energy_wh"])
        case "energy.remark":
            return int(fields["energy_wh"])  # was reported as drawn, and was not there
        case "energy.actual":
            return -int(fields["lost_wh"])
        case _:
            return 0


def _document(rows: RowReader, bill: Bill) -> Equation:
    issuer = issuer_of(bill)
    issued = issued_bill(rows, issuer, bill.number)
    return Equation(
        "bill.digest",
        "digest of the document = digest on the ledger",
        f"{encode_address(issuer)} {bill.number}",
        bill_digest(bill).hex(),
        "none" if issued is None else issued.digest.hex(),
        "",
    )


def _money(
    rows: RowReader, issuer: Address, bills: Sequence[Bill | None], events: Sequence[Event] | None
) -> Iterator[Equation]:
    subject = encode_address(issuer)
    counted = sum(one.paid_ueur - one.refunded_ueur for _, one in issued_bills(rows, issuer))
    moved = None if events is None else _moved(issuer, events)
    why = "" if events is not None else "the history of payments is not here"
    says = "eEuro counted for documents = eEuro moved for them"
    yield Equation("bill.paid", says, subject, counted, moved, "µEUR", why)
    missing = [number for number, bill in enumerate(bills, 1) if bill is None]
    totals = None if missing else sum(one.content.total_ueur for one in bills if one is not None)
    if missing:
        why = f"{len(missing)} documents are not here, first number {missing[0]}"
    receivables = None if totals is None else totals - counted
    settled = None if moved is None or receivables is None else moved + receivables
    says = "bills = eEuro moved + receivables"
    yield Equation("bill.money", says, subject, totals, settled, "µEUR", why)


def _moved(issuer: Address, events: Iterable[Event]) -> int:
    moved = 0
    for event in events:
        fields = dict(event.fields)
        if event.name in ("bill.paid", "bill.refunded") and fields["issuer"] == issuer:
            amount = int(fields["amount_ueur"])
            moved += amount if event.name == "bill.paid" else -amount
    return moved
