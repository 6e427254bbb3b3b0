"""Which edge nodes are home to whose meters, as the ledger says."""

from collections.abc import Mapping

from energy.powerchain.records import connections_of
from tangle.accounts import IDENTITY_PREFIX, NO_ADDRESS, decode_identity
from tangle.address import Address
from tangle.node import NodeCore


class Homed:
    """Who is homed where. Looked up anew after each milestone."""

    def __init__(self, core: NodeCore) -> None:
        self._core = core
        self._index = -1
        self._edges: dict[Address, frozenset[Address]] = {}

    def edges(self) -> Mapping[Address, frozenset[Address]]:
        """Return the home edges of each owner of meters, by address."""
        if self._index != self._core.confirmed_index:
            found: dict[Address, set[Address]] = {}
            for _, value in self._core.ledger.rows.scan(IDENTITY_PREFIX):
                known = decode_identity(value)
                if known.role == "meter" and known.owner != NO_ADDRESS:
                    found.setdefault(Address(known.owner), set()).add(Address(known.edge))
            self._edges = {owner: frozenset(edges) for owner, edges in found.items()}
            self._index = self._core.confirmed_index
        return self._edges

    def named(self, unit: Address, settler: Address) -> dict[Address, tuple[Address, ...]]:
        """Return the members that named a node as settling edge of a unit, by home edge."""
        edges, found = self.edges(), dict[Address, list[Address]]()
        for member, connection in connections_of(self._core.ledger.rows, unit):
            if connection.edge == settler:
                for edge in sorted(edges.get(member, ())):
                    found.setdefault(edge, []).append(member)
        return {edge: tuple(members) for edge, members in sorted(found.items())}
