"""Asks the nodes of a demonstration how the community fares, as anybody may."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from api.client.node_client import NodeClient
from api.failures import CommandError
from api.http.energy_forms import EnergyJson, SettlementJson, TradeJson, TradesJson
from api.processes.figures import Figures, figures_of

MAX_PAGES: Final = 10
"""Of trades that one look reads; more are not counted."""

PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class CommunityDoor:
    """Where to ask: nodes that settle, the first of them for the ledger as well."""

    edges: tuple[NodeClient, ...]
    has_roofs: bool

    async def look(self, before: Figures | None) -> Figures | None:
        """Return how the community fares; `before` if a node does not answer now."""
        return await asyncio.to_thread(self._look, before)

    def _look(self, before: Figures | None) -> Figures | None:
        try:
            settlements = [one.answer("settlement", SettlementJson) for one in self.edges]
            energy = self.edges[0].answer("energy", EnergyJson)
            trades = _trades_after(self.edges[0], 0 if before is None else before.trade_index)
        except CommandError:
            return before  # it is starting, stopping or dead: the supervisor's business
        return figures_of(before, energy, settlements, trades, has_roofs=self.has_roofs)


def _trades_after(node: NodeClient, index: int) -> Sequence[TradeJson]:
    """Return the trades after a milestone, the newest first. Raises `CommandError`."""
    found: list[TradeJson] = []
    place: str | None = None
    for _ in range(MAX_PAGES):
        before = "" if place is None else f"&before={place}"
        page = node.answer(f"market/trades?limit={PAGE}{before}", TradesJson)
        found += [one for one in page.trades if one.index > index]
        place = page.next
        if place is None or any(one.index <= index for one in page.trades):
            break
    return found
