"""Reports of settled periods on their way to the ledger, stage by stage.

Whether a report counts, the ledger says: its number is used at the unit, or it is not. So a repeat
after a restart is harmless, and nothing is taken for done that is not applied.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import structlog

from edge.ground.clock import Clock
from edge.node.executor import Executor
from edge.node.issuance import Issuance
from energy.powerchain.calls import NAME, energy_operation
from energy.powerchain.records import unit_at
from energy.settlement.records import Report, call_of
from tangle.address import Address, encode_address
from tangle.effects import Confirmed, Effect, Expired
from tangle.errors import StorageError, UnavailableError
from tangle.outcomes import Ignored, State
from tangle.sequences import is_unused
from tangle.transaction import Operation, TransactionId, decode

MAX_IN_FLIGHT: Final = 256
"""Reports of one unit under way: the ledger keeps a window of 1,024 numbers."""

REFUSED_PAUSE_MS: Final = 60_000
"""After the ledger refused a report: a delegation may come, but not within seconds."""

_log: Final = structlog.get_logger(__name__)


class Reporting:
    """Issues the reports of the units that one node settles."""

    def __init__(
        self, executor: Executor, clock: Clock, issuances: Mapping[Address, Issuance]
    ) -> None:
        """Take up what is under way.

        Args:
            executor: The node's hands.
            clock: Of the node.
            issuances: By unit: with the key that it delegates to.
        """
        self._core = executor.core
        self._clock = clock
        self._issuances = dict(issuances)
        self._in_flight: dict[TransactionId, Operation] = {}
        self._not_before_ms: dict[Address, int] = {}
        for issuance in self._issuances.values():
            self._refind(executor, issuance)
        executor.observe(self._observe)

    def is_over(self, report: Report) -> bool:
        """Return whether the ledger has a report, or can have it no more: its unit is removed."""
        unit = unit_at(self._core.ledger.rows, Address(report.unit))
        if unit is None:
            return True
        if report.number is None:
            return unit.stored_wh == report.energy_wh
        return not is_unused(unit.reports, report.number)

    async def issue_due(self, waiting: Sequence[Report]) -> None:
        """Issue what of the reports that wait may be issued now.

        Raises:
            StorageError: What was issued before is durable.
        """
        for report in list(self._due(waiting)):
            operation = energy_operation(call_of(report))
            try:
                tx_id, _ = await self._issuances[Address(report.unit)].issue(operation)
            except StorageError:
                raise
            except UnavailableError as error:
                _log.info("report put off", error=str(error))
                return
            self._in_flight[tx_id] = operation

    def _due(self, waiting: Sequence[Report]) -> Iterator[Report]:
        """Yield the reports of the lowest stage of each unit that are not under way."""
        stages: dict[bytes, int] = {}
        for one in waiting:
            stages[one.unit] = min(one.stage, stages.get(one.unit, one.stage))
        under_way, now_ms = set(self._in_flight.values()), self._clock.wall_ms()
        left = MAX_IN_FLIGHT - len(under_way)
        for one in waiting:
            unit = Address(one.unit)
            is_paused = now_ms < self._not_before_ms.get(unit, 0)
            if left <= 0 or is_paused or one.stage > stages[unit] or unit not in self._issuances:
                continue
            if energy_operation(call_of(one)) not in under_way:
                left -= 1
                yield one

    def _observe(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Confirmed():
                    for tx_id, outcome in effect.outcomes:
                        operation = self._in_flight.pop(tx_id, None)
                        if operation is not None and isinstance(outcome, Ignored):
                            self._refused(outcome)
                case Expired(tx_id):
                    self._in_flight.pop(tx_id, None)
                case _:
                    pass

    def _refused(self, outcome: Ignored) -> None:
        """Pause: an applied repeat is seen at once, and all else needs somebody to act."""
        until_ms = self._clock.wall_ms() + REFUSED_PAUSE_MS
        self._not_before_ms = dict.fromkeys(self._issuances, until_ms)
        _log.error(
            "report refused",
            reason=outcome.reason.value,
            units=[encode_address(unit) for unit in self._issuances],
        )

    def _refind(self, executor: Executor, issuance: Issuance) -> None:
        """Find the reports that were issued before a restart and may still be referenced."""
        for stored in executor.journal.own_unreferenced(issuance.key.public):
            payload = decode(stored.data).transaction.payload
            is_open = self._core.state(stored.tx_id) in (State.TIP, State.PENDING)
            if is_open and isinstance(payload, Operation) and payload.contract == NAME:
                self._in_flight[stored.tx_id] = payload
