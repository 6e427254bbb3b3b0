"""A town on the pure ledger: people and batteries by name, one operation a milestone."""

from collections.abc import Mapping
from typing import Final

import msgspec

from energy.bank import BankCall, bank_operation
from energy.governance.acts import Act, RegisterUnit, Vote
from energy.governance.contract import vote_operation
from energy.parameters import PARAMETERS_KEY, EnergyParameters, parameters_row
from energy.powerchain.calls import EnergyCall, Produced, energy_operation
from energy.queries import Answer, Names, ask
from energy.transfer import Transfer, transfer_operation
from energy.units import ENERGY, parse
from tangle.accounts import genesis_rows
from tangle.address import address_of
from tangle.contracts import Context, Contracts
from tangle.genesis import GenesisIdentity
from tangle.keys import PublicKey
from tangle.outcomes import Event, Reason
from tangle.rows import Draft, Rows
from tangle.transaction import Operation, TransactionId
from tests.community import CONTRACTS, START_MS, community, key

VOTER: Final = "A"
MEMBERS: Final = ("A", "B", "C", "D", "E", "F", "G")
DEVICES: Final = ("U1", "U2", "U3", "R1")
_KEYS: Final = {name: key(2_000 + at).public for at, name in enumerate((*MEMBERS, *DEVICES, "X"))}
WHO: Final = {name: address_of(public) for name, public in _KEYS.items()}
NAMES: Final = Names(WHO)
HOUR_MS: Final = 3_600_000


def wh(text: str) -> int:
    """Return an energy as people write it, in Wh."""
    return parse(text, ENERGY)


class Town:
    """A ledger of its own, whose milestones each hold one operation."""

    def __init__(
        self, *, parameters: EnergyParameters | None = None, contracts: Contracts = CONTRACTS
    ) -> None:
        genesis = community(members=0)
        roles = {name: "meter" if name in DEVICES else "member" for name in (*MEMBERS, *DEVICES)}
        roles[VOTER] = "voter"
        identities = sorted((_KEYS[name], role) for name, role in roles.items())
        genesis = msgspec.structs.replace(
            genesis, identities=tuple(GenesisIdentity(*one) for one in identities)
        )
        rows = genesis_rows(genesis)
        row = parameters_row(parameters or EnergyParameters())
        self.rows = Rows(rows if row is None else {**rows, PARAMETERS_KEY: row})
        self.contracts = contracts
        self.index = 0
        self.now_ms = START_MS
        self.events: tuple[Event, ...] = ()
        self.ended: tuple[Event, ...] = ()
        """What happened at the end of the last milestone."""

    def do(self, by: str, call: EnergyCall | BankCall | Act | Transfer) -> Reason | None:
        """Let somebody issue one operation, alone in its milestone; a bare act is a yes to it."""
        refused = self.within(Draft(self.rows), by, call)
        self.wait(0)
        return refused

    def within(
        self, draft: Draft, by: str, call: EnergyCall | BankCall | Act | Transfer | Vote
    ) -> Reason | None:
        """Apply one operation; what it changes is committed at once, the end is the caller's."""
        operation = operation_of(call)
        contract = self.contracts[operation.contract]
        decided = contract.apply(draft, contract.decode(operation.call), self.context(by))
        if isinstance(decided, Reason):
            self.events = ()
            return decided
        self.events = decided.events
        self.rows.apply(decided.changes)
        return None

    def context(self, by: str) -> Context:
        """Return what a contract knows of an operation of somebody now."""
        public = PublicKey(_KEYS[by])
        return Context(public, WHO[by], TransactionId(bytes(32)), self.index + 1, self.now_ms)

    def wait(self, ms: int) -> None:
        """Let ledger time pass, and a milestone end."""
        self.now_ms += ms
        self.index += 1
        self.ended = ()
        for contract in self.contracts.values():
            if contract.end_milestone is not None:
                changed = contract.end_milestone(self.rows, self.index, self.now_ms)
                self.rows.apply(changed.changes)
                self.ended += changed.events

    def all(self, by: str, *calls: EnergyCall | BankCall | Act | Transfer) -> None:
        """Let somebody issue several operations that all are applied."""
        for call in calls:
            assert self.do(by, call) is None, call

    def ask(self, *keys: str) -> list[Answer]:
        """Return what the ledger says to each key."""
        return [ask(self.rows, one, NAMES) for one in keys]

    def expect(self, expected: Mapping[str, Answer]) -> None:
        """Assert what the ledger says, key by key."""
        assert {one: ask(self.rows, one, NAMES) for one in expected} == dict(expected)


def operation_of(call: EnergyCall | BankCall | Act | Transfer | Vote) -> Operation:
    """Return the payload of any call; an act becomes a ballot for it."""
    if isinstance(call, EnergyCall):
        return energy_operation(call)
    if isinstance(call, BankCall):
        return bank_operation(call)
    if isinstance(call, Transfer):
        return transfer_operation(call)
    return vote_operation(call if isinstance(call, Vote) else Vote(call, yes=True))


def town_with_battery(
    capacity: str = "100 kWh", parameters: EnergyParameters | None = None
) -> Town:
    """Return a town whose one voter A let C own a battery U1."""
    town = Town(parameters=parameters)
    town.all("A", RegisterUnit(WHO["U1"], WHO["C"], wh(capacity)))
    return town


def charged(energy: str, by: str = "B", **changes: int) -> Town:
    """Return such a town after somebody charged the battery."""
    town = town_with_battery(parameters=EnergyParameters(**changes))
    town.all("U1", Produced(WHO[by], wh(energy)))
    return town
