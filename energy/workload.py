"""A made-up community at work, for measurements: every operation it makes can be applied.

The same generator gives the same operations. Nothing here is random by itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from energy.ctt.calls import Consume, Recharge, ctt_operation
from energy.ctt.rows import (
    COLLECTION_KEY,
    Account,
    Collection,
    CttMeter,
    CttToken,
    account_key,
    account_row,
    meter_key,
    token_rows,
)
from energy.locked import change_energy, mint
from energy.market.contract import Buy, Sell, market_operation
from energy.market.pricing import LOT_UENT
from energy.powerchain.calls import (
    CloseSession,
    Consumed,
    OpenSession,
    Produced,
    energy_operation,
)
from energy.powerchain.records import StorageUnit, put_unit
from energy.transfer import TransferEeuro, TransferEnt, transfer_operation
from energy.units import PPM, UENT_PER_WH
from tangle.accounts import NO_ADDRESS, Identity, Token, identity_key
from tangle.address import address_of
from tangle.codec import encode
from tangle.keys import KEY_SIZE, PublicKey
from tangle.rows import Draft, Rows
from tangle.transaction import Operation

Issued = tuple[PublicKey, Operation]
"""Who issues what."""

SHARES: Final = {"reports": 30, "transfers": 20, "orders": 20, "sessions": 20, "ctt": 10}
"""Of the mix, in percent."""

MEMBERS_PER_UNIT: Final = 20
TOKENS_PER_MEMBER: Final = 2

_HELD_WH: Final = 1_000_000
"""What each member stored before: 1,000 kWh, and as many ENT."""

_HELD_UEUR: Final = 1_000_000 * 1_000_000
_SESSION_UENT: Final = 2_000_000
_ROOM_WH: Final = 10**15
_PRICE_UEUR: Final = 250_000
_PRICE_STEPS: Final = 500
"""Orders lie within so many steps of 10 µEUR on both sides of the price."""


@dataclass(frozen=True, slots=True)
class People:
    """The keys of a community: public halves only, since nothing is signed."""

    members: tuple[PublicKey, ...]
    units: tuple[PublicKey, ...]
    """Batteries; member n belongs to unit n modulo their number."""

    meters: tuple[PublicKey, ...]
    """Meter n is that of member n."""


def people(count: int, rng: Random) -> People:
    """Return a community of so many members."""

    def keys(number: int) -> tuple[PublicKey, ...]:
        return tuple(PublicKey(rng.randbytes(KEY_SIZE)) for _ in range(number))

    return People(keys(count), keys(-(-count // MEMBERS_PER_UNIT)), keys(count))


def start_rows(those: People) -> dict[bytes, bytes]:
    """Return the state in which everybody holds tokens, money and CTT accounts; the gap is 0."""
    draft = Draft(Rows({}))
    for keys, role in ((those.members, "member"), (those.units, "meter"), (those.meters, "meter")):
        for key in keys:
            known = Identity(key, role, NO_ADDRESS, NO_ADDRESS)
            draft.put({identity_key(address_of(key)): encode(known)})
    owners = [address_of(key) for key in those.members]
    mint(draft, Token.ENT, [(owner, _HELD_WH * UENT_PER_WH) for owner in owners])
    mint(draft, Token.EEURO, [(owner, _HELD_UEUR) for owner in owners])
    stored_wh = -(-len(those.members) // len(those.units)) * _HELD_WH
    left_wh = len(those.members) * _HELD_WH
    for key in those.units:
        part_wh = min(stored_wh, left_wh)
        left_wh -= part_wh
        unit = StorageUnit(owners[0], _ROOM_WH, PPM, stored_wh=part_wh, free_wh=part_wh)
        put_unit(draft, address_of(key), unit)
        change_energy(draft, part_wh)
    draft.put(_ctt_rows(those))
    return {key: value for key, value in draft.changes.items() if value is not None}


def _ctt_rows(those: People) -> dict[bytes, bytes | None]:
    admin = address_of(those.members[0])
    made = len(those.members) * TOKENS_PER_MEMBER
    rows: dict[bytes, bytes | None] = {
        COLLECTION_KEY: encode(Collection(admin, admin, made, _ROOM_WH, 0, made))
    }
    for at, (member, meter) in enumerate(zip(those.members, those.meters, strict=True)):
        owner = address_of(member)
        rows[meter_key(address_of(meter))] = encode(CttMeter(owner, 0))
        rows[account_key(owner)] = account_row(Account(TOKENS_PER_MEMBER * _HELD_WH))
        for number in range(at * TOKENS_PER_MEMBER, (at + 1) * TOKENS_PER_MEMBER):
            held = CttToken(owner, _ROOM_WH, _HELD_WH, None, None)
            rows.update(token_rows(number, None, held))
    return rows


@dataclass(slots=True)
class Workload:
    """Makes operations one after the other, and remembers what they leave open.

    They are applied in this order, before a session expires: within two hours of ledger time.
    """

    those: People
    rng: Random
    _left_wh: dict[int, int] = field(default_factory=dict)
    """Energy left in the open session of a member, by number."""

    def mix(self, count: int, kinds: Sequence[str] = tuple(SHARES)) -> list[Issued]:
        """Return operations of these kinds, in the proportions of `SHARES`."""
        makers: dict[str, Callable[[], Issued]] = {
            "reports": self._report,
            "transfers": self._transfer,
            "orders": self._order,
            "sessions": self._session,
            "ctt": self._ctt,
        }
        weights = [SHARES[kind] for kind in kinds]
        return [makers[kind]() for kind in self.rng.choices(kinds, weights, k=count)]

    def _report(self) -> Issued:
        """Half of them charge, half draw from a session while there is one with enough left."""
        member = self._member()
        unit, who = self._unit_of(member), address_of(self.those.members[member])
        drawn_wh = self.rng.randrange(1, 100)
        if self.rng.random() < 0.5 and self._left_wh.get(member, 0) > drawn_wh:
            self._left_wh[member] -= drawn_wh
            return unit, energy_operation(Consumed(who, drawn_wh))
        return unit, energy_operation(Produced(who, self.rng.randrange(100, 1_000)))

    def _session(self) -> Issued:
        """Open one, or close what is open."""
        member = self._member()
        key, unit = self.those.members[member], address_of(self._unit_of(member))
        if self._left_wh.pop(member, None) is not None:
            return key, energy_operation(CloseSession(unit))
        self._left_wh[member] = _SESSION_UENT // UENT_PER_WH
        return key, energy_operation(OpenSession(unit, _SESSION_UENT))

    def _transfer(self) -> Issued:
        payer = self._member()
        payee = (payer + self.rng.randrange(1, len(self.those.members))) % len(self.those.members)
        to, amount = address_of(self.those.members[payee]), self.rng.randrange(1, 1_000)
        call = TransferEnt(to, amount) if self.rng.random() < 0.5 else TransferEeuro(to, amount)
        return self.those.members[payer], transfer_operation(call)

    def _order(self) -> Issued:
        return order(self.those.members, self.rng)

    def _ctt(self) -> Issued:
        meter, energy_wh = self.those.meters[self._member()], self.rng.randrange(1, 100)
        call = Recharge(energy_wh, None) if self.rng.random() < 0.5 else Consume(energy_wh, None)
        return meter, ctt_operation(call)

    def _member(self) -> int:
        return self.rng.randrange(len(self.those.members))

    def _unit_of(self, member: int) -> PublicKey:
        return self.those.units[member % len(self.those.units)]


def order(members: Sequence[PublicKey], rng: Random, *, crosses: bool = True) -> Issued:
    """Return an order of some member around the price of the day.

    Args:
        members: Who may issue it.
        rng: Chooses.
        crosses: Whether it may meet the other side. If not, it rests: buyers bid below the price,
            sellers ask above it.
    """
    is_buy = rng.random() < 0.5
    step = rng.randrange(-_PRICE_STEPS if crosses else 1, _PRICE_STEPS)
    price_ueur = _PRICE_UEUR + 10 * (-step if is_buy else step)
    amount_uent = rng.randrange(1, 100) * LOT_UENT
    call = Buy(amount_uent, price_ueur) if is_buy else Sell(amount_uent, price_ueur)
    return rng.choice(members), market_operation(call)
