"""What each of the people of a demonstration does next, from what it sees and nothing else.

They are plain on purpose: no forecast, no cunning. A household keeps a session open while it has
tokens, sells what it has beyond its own need, and buys what it lacks. Everybody reckons what a
token is worth by how full the battery is, give or take a little, so that some offers meet.
"""

from dataclasses import dataclass
from random import Random
from typing import Final, assert_never

from energy.bank import Burn, Lock, Mint, bank_operation
from energy.demo.charter import SETTLEMENT_PERIOD, Charter, missing_acts, next_change
from energy.demo.sight import AccountSeen, Sight, UnitSeen
from energy.governance.acts import RemoveVoter, Vote
from energy.governance.contract import vote_operation
from energy.market.contract import Buy, Sell, market_operation
from energy.market.pricing import LOT_UENT, locked_for
from energy.powerchain.calls import Connect, Delegate, OpenSession, energy_operation
from energy.units import HOUR_MS, PPM, UENT_PER_ENT, UENT_PER_WH, UEUR_PER_EUR
from tangle.address import Address
from tangle.transaction import Operation

OWN_NEED_UENT: Final = 4 * UENT_PER_ENT
"""What a household sets aside for a night."""

SHORT_UENT: Final = OWN_NEED_UENT // 2
"""With less it buys."""

LEAST_UENT: Final = UENT_PER_ENT // 4
"""Below that no session and no order is worth its while."""

MEMBER_LIMIT_UENT: Final = 20 * UENT_PER_ENT
"""Signed for what is drawn beyond sessions; signed anew once half of it is used."""

OWNER_LIMIT_UENT: Final = 500 * UENT_PER_ENT
"""The owner of a unit answers for all that it gives and nobody needs."""

OWNER_RESERVE_UENT: Final = 2 * UENT_PER_ENT
CHEAPEST_UEUR: Final = 120_000
"""Per ENT, with a full battery: what feeding in brings."""

DEAREST_UEUR: Final = 300_000
"""Per ENT, with an empty one: what the grid asks."""

OPINION_PPM: Final = 100_000
"""How far two people may differ about the price."""

ORDER_MS: Final = 6 * HOUR_MS
ORDER_PERIODS: Final = 4
"""How long an order stands, ledger time, whichever is longer: the next one is at the price of then,
and where the clock is fast an order needs longer to come to the ledger."""

LOW_UEUR: Final = 20 * UEUR_PER_EUR
PAID_IN_UEUR: Final = 50 * UEUR_PER_EUR
"""What somebody pays in whose money is low, and the banker issues for it."""

PLENTY_UEUR: Final = 150 * UEUR_PER_EUR
KEPT_UEUR: Final = 120 * UEUR_PER_EUR
"""Who has plenty has all above this paid out."""


@dataclass(frozen=True, slots=True)
class Household:
    """A member with a home."""

    address: Address
    unit: Address
    edge: Address
    """The node that settles the unit."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who owns the unit, and earns a share of all that charges it."""

    address: Address
    unit: Address
    edge: Address


@dataclass(frozen=True, slots=True)
class Banker:
    """Issues eEuro to those who pay in, and pays out what they lock."""

    address: Address


@dataclass(frozen=True, slots=True)
class Voter:
    """Sees to it that the charter holds, or seconds who does."""

    address: Address
    charter: Charter
    proposes: bool
    """One does; else each would open the same votes."""


@dataclass(frozen=True, slots=True)
class Device:
    """The unit itself: it lets its settling node report for it."""

    address: Address
    edge: Address


Person = Household | Owner | Banker | Voter | Device


def decide(person: Person, sight: Sight, now_ms: int, rng: Random) -> tuple[Operation, ...]:
    """Return what somebody does now; nothing, most of the time.

    What is returned stands for itself: each may be refused without harm to the others.

    Args:
        person: Who.
        sight: The ledger as that person sees it, nothing of its own under way.
        now_ms: Ledger time.
        rng: Of the demonstration.
    """
    match person:
        case Household():
            return _household(person, sight, now_ms, rng)
        case Owner():
            return _owner(person, sight, now_ms, rng)
        case Banker():
            return _banker(person, sight)
        case Voter():
            return _voter(person, sight, now_ms)
        case Device():
            return _device(person, sight)
        case _:
            assert_never(person)


def worth_ueur(unit: UnitSeen, rng: Random) -> int:
    """Return what somebody thinks an ENT is worth: less, the fuller the battery."""
    fill_ppm = min(PPM, unit.stored_wh * PPM // unit.capacity_wh)
    fair_ueur = DEAREST_UEUR - (DEAREST_UEUR - CHEAPEST_UEUR) * fill_ppm // PPM
    return fair_ueur * (PPM + rng.randrange(-OPINION_PPM, OPINION_PPM + 1)) // PPM


def _household(person: Household, sight: Sight, now_ms: int, rng: Random) -> tuple[Operation, ...]:
    unit, own = sight.unit, sight.account(person.address)
    if unit is None:
        return ()
    if own.limit_uent is None or own.limit_uent < MEMBER_LIMIT_UENT // 2:
        return (_connect(person, MEMBER_LIMIT_UENT),)
    session_uent = _session_to_open(unit, own, now_ms)
    if session_uent:
        session = OpenSession(person.unit, session_uent)
        return (energy_operation(session), *_paid_out(own))
    is_open = own.session is not None and now_ms < own.session.expires_at_ms
    held_uent = own.ent_uent + (own.session.amount_uent if is_open and own.session else 0)
    spare_uent = min(own.ent_uent, held_uent - OWN_NEED_UENT)
    short_uent = OWN_NEED_UENT - held_uent if held_uent < SHORT_UENT else 0
    until_ms = now_ms + _order_ms(sight)
    return (
        *_sell(unit, own, spare_uent, until_ms, rng),
        *_buy(unit, own, short_uent, until_ms, rng),
        *_paid_out(own),
    )


def _session_to_open(unit: UnitSeen, own: AccountSeen, now_ms: int) -> int:
    """Return the tokens of a new session; 0 while one is open, or there is nothing to open.

    What the last one still holds waits for late reports: it is neither to sell nor to open with.
    """
    if own.session is not None and now_ms < own.session.expires_at_ms:
        return 0
    amount_uent = min(own.ent_uent, OWN_NEED_UENT, unit.free_wh * UENT_PER_WH)
    return amount_uent if amount_uent >= LEAST_UENT else 0


def _owner(person: Owner, sight: Sight, now_ms: int, rng: Random) -> tuple[Operation, ...]:
    unit, own = sight.unit, sight.account(person.address)
    if unit is None:
        return ()
    if own.limit_uent is None or own.limit_uent < OWNER_LIMIT_UENT // 2:
        return (_connect(person, OWNER_LIMIT_UENT),)
    spare_uent = own.ent_uent - OWNER_RESERVE_UENT
    return (*_sell(unit, own, spare_uent, now_ms + _order_ms(sight), rng), *_paid_out(own))


def _order_ms(sight: Sight) -> int:
    return max(ORDER_MS, ORDER_PERIODS * sight.parameters.get(SETTLEMENT_PERIOD, 0))


def _connect(person: Household | Owner, limit_uent: int) -> Operation:
    return energy_operation(Connect(person.unit, person.edge, limit_uent))


def _sell(
    unit: UnitSeen, own: AccountSeen, spare_uent: int, until_ms: int, rng: Random
) -> tuple[Operation, ...]:
    """Offer half of what is to spare: the rest may be worth more later.

    One order at a time, on one side: an offer that meets its owner's own bid is void.
    """
    amount_uent = _lots(spare_uent // 2)
    if own.selling_uent or own.buying_uent or amount_uent < LEAST_UENT:
        return ()
    return (market_operation(Sell(amount_uent, worth_ueur(unit, rng), until_ms)),)


def _buy(
    unit: UnitSeen, own: AccountSeen, short_uent: int, until_ms: int, rng: Random
) -> tuple[Operation, ...]:
    price_ueur, amount_uent = worth_ueur(unit, rng), _lots(short_uent)
    is_affordable = locked_for(amount_uent, price_ueur) <= own.eeuro_ueur
    if own.selling_uent or own.buying_uent or amount_uent < LEAST_UENT or not is_affordable:
        return ()
    return (market_operation(Buy(amount_uent, price_ueur, until_ms)),)


def _lots(amount_uent: int) -> int:
    return max(0, amount_uent) // LOT_UENT * LOT_UENT


def _paid_out(own: AccountSeen) -> tuple[Operation, ...]:
    if own.eeuro_ueur <= PLENTY_UEUR or own.withdrawal_ueur:
        return ()
    return (bank_operation(Lock(own.eeuro_ueur - KEPT_UEUR)),)


def _banker(person: Banker, sight: Sight) -> tuple[Operation, ...]:
    if sight.banker != person.address:
        return ()
    acts = []
    for member, held in sorted(sight.accounts.items()):
        if held.withdrawal_ueur:
            acts.append(bank_operation(Burn(member, held.withdrawal_ueur)))
        elif held.eeuro_ueur + held.eeuro_locked_ueur < LOW_UEUR:
            acts.append(bank_operation(Mint(member, PAID_IN_UEUR)))
    return tuple(acts)


def _voter(person: Voter, sight: Sight, now_ms: int) -> tuple[Operation, ...]:
    """Second what is open; propose what the charter lacks, and now and then a change."""
    if person.address not in sight.voters:
        return ()
    acts = [
        one.act
        for one in sight.votes
        if person.address not in one.balloted and one.act != RemoveVoter(person.address)
    ]
    if person.proposes:
        is_open = {one.act for one in sight.votes}
        wanted = missing_acts(person.charter, sight) or next_change(sight, now_ms)
        acts += [act for act in wanted if act not in is_open]
    return tuple(vote_operation(Vote(act, yes=True)) for act in acts)


def _device(person: Device, sight: Sight) -> tuple[Operation, ...]:
    if sight.unit is None or sight.unit.reporter == person.edge:
        return ()
    return (energy_operation(Delegate(person.edge)),)
