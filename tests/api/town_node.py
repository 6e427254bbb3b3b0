"""A small node whose people and batteries have names, and who does what people write."""

from pathlib import Path
from typing import Final

import msgspec

from api.contracts import CONTRACTS
from energy.forms.fields import Known
from energy.forms.operations import operation
from tangle.address import address_of, encode_address
from tangle.genesis import Allocation, GenesisIdentity
from tangle.transaction import TransactionId, decode, transaction_id
from tests.api.small_node import COORDINATOR, GENESIS, SmallNode
from tests.community import key

_ROLES: Final = {
    "V": "voter",
    "W": "voter",
    "A": "member",
    "B": "member",
    "E": "edge",
    "U": "meter",
}
KEYS: Final = {name: key(3_000 + at) for at, name in enumerate(_ROLES)}
WHO: Final = {name: address_of(one.public) for name, one in KEYS.items()}
TEXT: Final = {name: encode_address(address) for name, address in WHO.items()}
EUROS: Final = {"A": 100_000_000, "B": 50_000_000}

TOWN: Final = msgspec.structs.replace(
    GENESIS,
    coordinator_keys=(COORDINATOR.public,),
    identities=tuple(
        sorted(
            (GenesisIdentity(KEYS[name].public, role) for name, role in _ROLES.items()),
            key=lambda one: one.key,
        )
    ),
    allocations=tuple(
        sorted(
            (Allocation(WHO[name], amount) for name, amount in EUROS.items()),
            key=lambda one: one.address,
        )
    ),
)


class TownNode(SmallNode):
    """One voter too few decides nothing: V and W vote together."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, TOWN, CONTRACTS)
        self._next = dict.fromkeys(KEYS, 0)

    def does(self, by: str, do: str, **fields: object) -> str:
        """Let somebody issue an operation that is applied, alone in its milestone; its id."""
        tx_id = self.offers(by, do, **fields)
        self.confirm()
        stored = self.journal.transaction(TransactionId(bytes.fromhex(tx_id)))
        assert stored is not None
        assert type(stored.outcome).__name__ == "Applied", stored.outcome
        return tx_id

    def offers(self, by: str, do: str, **fields: object) -> str:
        """Let somebody issue an operation; the next milestone decides. Its id."""
        known = Known(WHO, {name: one.public for name, one in KEYS.items()}, {}, self.clock_ms)
        data = self.signed(operation(do, fields, known), KEYS[by], self._next[by])
        self._next[by] += 1
        self.take_in(data)
        return transaction_id(decode(data).transaction).hex()

    def vote(self, by: str, act: str, **arguments: object) -> None:
        """Let a voter say yes."""
        self.does(by, "governance.vote", act=act, arguments=arguments)

    def decide(self, act: str, **arguments: object) -> None:
        """Let both voters say yes."""
        self.vote("V", act, **arguments)
        self.vote("W", act, **arguments)

    def begin(self) -> None:
        """Register the battery U of A and charge it with 10 kWh of B's."""
        self.decide("register_unit", unit="U", owner="A", capacity="20 kWh", efficiency="0.9")
        self.does("U", "energy.produced", member="B", energy="10 kWh")
