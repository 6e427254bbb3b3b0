"""The community of `tanglewatt up`, with keys from numbers: who is there, and what it agrees on.

Names, roles, money, battery and charter are those that `up` makes for ten homes. Its keys are not
by chance, its clock is the test's, and nobody works for a transaction.
"""

from dataclasses import dataclass, replace
from typing import Final

import msgspec

from api.network.files import NetworkKeys, make_genesis
from api.network.people import PeopleKeys, battery_rating, charter
from api.network.plan import SYNTHETIC_TIME_SCALE, Wishes, make_plan, ports_needed
from devices.sources.battery import Battery
from devices.sources.household import HouseholdProfile
from devices.sources.rows import ReadingSource
from devices.sources.street import SyntheticStreet
from devices.sources.synthetic import SyntheticHome, home_of
from energy.demo.people import Banker, Device, Household, Owner, Person, Voter
from tangle.address import Address, address_of
from tangle.genesis import Genesis
from tangle.keys import SigningKey
from tangle.seeds import ENTROPY_SIZE, wallet_key, words_of
from tests.community import COORDINATOR, NO_WORK, VOTER, edge_key, key

WISHES: Final = Wishes(edges=1, people=True)
PLAN: Final = make_plan(WISHES, 0, range(15_000, 15_000 + ports_needed(WISHES)))
HOMES: Final = len(PLAN.homes)
EDGE: Final = edge_key(0)
OPERATOR: Final = VOTER
SECOND_VOTER, BANKER, OWNER, BATTERY, AUTHORITY = (key(4_000 + number) for number in range(5))
GRID: Final = tuple(key(4_100 + number) for number in range(HOMES))
ROOFS: Final = {name: key(4_200 + PLAN.homes.index(name)) for name in PLAN.roofs}
WORDS: Final = tuple(number.to_bytes(ENTROPY_SIZE, "big") for number in range(1, HOMES + 1))
"""Entropy of the members' wallets."""

MEMBERS: Final = tuple(wallet_key(words_of(one)) for one in WORDS)
UNIT: Final = address_of(BATTERY.public)
CHARTER: Final = charter(
    UNIT, address_of(OWNER.public), address_of(BANKER.public), HOMES, SYNTHETIC_TIME_SCALE
)


def whose(one: SigningKey) -> Address:
    return address_of(one.public)


CUSTOMERS: Final = {whose(one): one for one in (*MEMBERS, OWNER)}
"""All who are connected to the battery."""

PEOPLE: Final[tuple[tuple[SigningKey, Person], ...]] = (
    (OPERATOR, Voter(whose(OPERATOR), CHARTER, proposes=True)),
    (SECOND_VOTER, Voter(whose(SECOND_VOTER), CHARTER, proposes=False)),
    (BANKER, Banker(whose(BANKER))),
    (OWNER, Owner(whose(OWNER), UNIT, whose(EDGE))),
    (BATTERY, Device(UNIT, whose(EDGE))),
    *((member, Household(whose(member), UNIT, whose(EDGE))) for member in MEMBERS),
)


def genesis_at(start_ms: int) -> Genesis:
    """Return the genesis of a community that begins then; an hour of its clock is an hour."""
    plan = replace(PLAN, created_at_ms=start_ms, ledger_start_ms=start_ms, time_scale=1)
    keys = NetworkKeys(
        operator=OPERATOR,
        coordinator_node=COORDINATOR,
        coordinator=COORDINATOR,
        cosigners=(),
        edges=(EDGE,),
        meters=GRID,
        members=tuple(one.public for one in MEMBERS),
        authority=AUTHORITY,
        people=PeopleKeys(SECOND_VOTER, BANKER, OWNER, BATTERY, ROOFS),
    )
    return msgspec.structs.replace(make_genesis(plan, keys), parameters=NO_WORK)


@dataclass(frozen=True, slots=True)
class Metered:
    """A meter: its key, whose it is, and where its registers come from."""

    key: SigningKey
    owner: Address
    source: ReadingSource


def meters_at(profile: HouseholdProfile, first_slot_ms: int) -> tuple[Metered, ...]:
    """Return all meters, the battery's last; their registers stand at zero at that moment."""
    homes = tuple(
        SyntheticHome(PLAN.seed, home_of(PLAN.seed, number), profile, first_slot_ms)
        for number in range(HOMES)
    )
    found: list[Metered] = []
    for name, grid, member, home in zip(PLAN.homes, GRID, MEMBERS, homes, strict=True):
        found.append(Metered(grid, whose(member), home))
        if name in ROOFS:
            found.append(Metered(ROOFS[name], whose(member), replace(home, is_roof=True)))
    battery = Battery(SyntheticStreet(homes), battery_rating(HOMES), first_slot_ms)
    return (*found, Metered(BATTERY, whose(OWNER), battery))
