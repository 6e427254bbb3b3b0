"""Carries out what `edge.node.promotion` decides for one node."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from edge.ground.clock import Clock
from edge.node.executor import Executor
from edge.node.issuance import Issuance
from edge.node.promotion import LABEL, Promoter
from tangle.effects import Attached, Confirmed, Effect, Expired
from tangle.errors import StorageError, UnavailableError
from tangle.transaction import Data, TransactionId

PAUSE_S: Final = 1.0
"""Between two looks: a promotion is a matter of milestones."""

_log: Final = structlog.get_logger(__name__)


class Promoting:
    """Promotes what entered by this node: what it issued, and what its door took in."""

    def __init__(self, executor: Executor, issuance: Issuance, clock: Clock) -> None:
        """Watch what the node's own key has pending, and what enters from now on."""
        self.promoter = Promoter()
        self._core = executor.core
        self._executor = executor
        self._issuance = issuance
        self._clock = clock
        for tx_id in issuance.pending_ids:
            self._watch(tx_id)
        executor.observe(self._observe)

    async def run(self) -> None:
        """Promote what is due until cancelled."""
        while True:
            await self.promote_due()
            await asyncio.sleep(PAUSE_S)

    async def promote_due(self) -> int:
        """Promote what is due now and return how many that were."""
        count = 0
        while (tx_id := self._due()) is not None:
            count += 1
            self.promoter.promoted(tx_id, self._core.confirmed_index, self._clock.wall_ms())
            try:
                tip = next(one for one in self._issuance.select_parents() if one != tx_id)
                promotion, _ = await self._issuance.issue(Data(LABEL, b""), parents=(tx_id, tip))
            except StorageError:
                raise  # the core is ahead of the journal: the node must stop
            except UnavailableError as error:
                _log.info("transaction not promoted", tx_id=tx_id.hex(), error=str(error))
                continue
            self._executor.counts["promoted"] += 1
            _log.info("transaction promoted", tx_id=tx_id.hex(), promotion=promotion.hex())
        return count

    def _due(self) -> TransactionId | None:
        core = self._core
        return self.promoter.due(core.graph, core.confirmed_index, self._clock.wall_ms())

    def _observe(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Attached(tx_id, _, None, is_milestone=False):
                    self._watch(tx_id)
                case Confirmed():
                    self.promoter.forget(tx_id for tx_id, _ in effect.outcomes)
                case Expired(tx_id):
                    self.promoter.forget((tx_id,))
                case _:
                    pass

    def _watch(self, tx_id: TransactionId) -> None:
        """Watch it, unless it carries nothing itself, as promotions and checkpoints do."""
        verified = self._core.pending(tx_id)
        if verified is None:
            return
        payload, issuer = verified.transaction.payload, verified.transaction.issuer
        is_own = issuer == self._issuance.key.public
        if not (is_own and isinstance(payload, Data) and not payload.data):
            self.promoter.watch(tx_id, self._core.confirmed_index)
