"""Takes in what a peer says for ever, and says what it passes on. Made to be killed.

Run as `python -m tests.edge.hearing FOLDER`: prints the id of each transaction when the node tells
its peers of it, which is after it is durable.
"""

import asyncio
import sys
from pathlib import Path
from random import Random

from typing_extensions import override

from edge.journal.journal import Journal
from edge.mesh.frames import Body, Transactions, split
from edge.node.executor import Executor
from edge.node.hearing import Hearing
from tangle.effects import Instant, PeerId
from tangle.keys import SigningKey
from tangle.node import NodeCore
from tangle.verification import Verified, parse
from tests.community import CONTRACTS, edge_key, member_key
from tests.edge.history import Silence
from tests.tangle.cores import ALICE, GENESIS, MAKE, NOW, G, H


class Telling(Silence):
    """A mesh that prints what it is told."""

    @override
    def broadcast(self, body: Body) -> None:
        assert isinstance(body, Transactions)
        sys.stdout.writelines(f"{parse(data).tx_id.hex()}\n" for data in body.items)
        sys.stdout.flush()


class Flood:
    """A peer that always has more to say: one chain for each of some issuers."""

    def __init__(self) -> None:
        self._issuers: list[SigningKey] = [edge_key(0), edge_key(1), *map(member_key, range(3))]
        self._last = dict.fromkeys(range(len(self._issuers)), H)
        self._made = 0

    def transaction(self) -> Verified:
        who, number = self._made % len(self._issuers), self._made // len(self._issuers)
        self._made += 1
        made = MAKE.transaction(self._issuers[who], number, (G, self._last[who]))
        self._last[who] = made.tx_id
        return made

    async def receive(self, until_wall_ms: int | None) -> list[tuple[PeerId, Body]]:
        del until_wall_ms
        await asyncio.sleep(0)
        return [(ALICE, body) for body in split(self.transaction().data for _ in range(100))]


class StillClock:
    """Stands still."""

    def instant(self) -> Instant:
        return NOW

    def wall_ms(self) -> int:
        return NOW.wall_ms


async def main() -> None:
    """Hear until killed."""
    folder = Path(sys.argv[1])
    core = NodeCore(GENESIS, CONTRACTS)
    with Journal(folder, core.rules.network) as journal:
        journal.restore(GENESIS, 20)
        await Hearing(Executor(core, journal, Telling(), Random(1)), Flood(), StillClock(), 2).run()


if __name__ == "__main__":
    asyncio.run(main())
