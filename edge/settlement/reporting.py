"""Reports of settled periods on their way to the ledger, stage by stage.

Whether a report counts, the ledger says: its number is used at the unit, or it is not. So a repeat
after a restart is harmless, and nothing is taken for done that is not applied.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from edge.ground.clock import Clock
from edge.node.executor import Executor
from edge.node.issuance import Issuance
from energy.powerchain.calls import NAME, Consumed, Produced, decoder, energy_operation
from energy.powerchain.records import unit_at
from energy.settlement.records import Report, call_of
from tangle.address import Address, encode_address
from tangle.effects import Confirmed, Effect, Expired
from tangle.errors import StorageError, UnavailableError
from tangle.outcomes import Ignored, Reason, State
from tangle.sequences import is_unused
from tangle.transaction import Operation, TransactionId, decode

MAX_IN_FLIGHT: Final = 256
"""Reports of one unit under way: the ledger keeps a window of 1,024 numbers."""

REFUSED_PAUSE_MS: Final = 60_000
"""After the ledger refused a report: a delegation may come, but not within seconds."""

_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A report that the ledger refused, and why."""

    report: Report
    reason: Reason


@dataclass(frozen=True, slots=True)
class _Issued:
    unit: Address
    operation: Operation


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
        self.refused: dict[Address, Refusal] = {}
        """By unit that waits for it: what an operator has to look at."""

        self._core = executor.core
        self._clock = clock
        self._issuances = dict(issuances)
        self._in_flight: dict[TransactionId, _Issued] = {}
        self._waiting: dict[Address, Sequence[Report]] = {}
        self._not_before_ms: dict[Address, int] = {}
        for unit, issuance in self._issuances.items():
            self._refind(executor, unit, issuance)
        executor.observe(self._observe)

    def is_over(self, report: Report) -> bool:
        """Return whether the ledger has a report, or can have it no more: its unit is removed."""
        unit = unit_at(self._core.ledger.rows, Address(report.unit))
        if unit is None:
            return True
        if report.kind == "reported":
            return unit.reported_ms >= report.interval_end_ms
        if report.number is None:
            return unit.stored_wh == report.energy_wh
        return not is_unused(unit.reports, report.number)

    def waits(self, unit: Address, reports: Sequence[Report]) -> tuple[Report, ...]:
        """Return which reports of a unit are not over."""
        waiting = tuple(one for one in reports if not self.is_over(one))
        self._waiting[unit] = waiting
        if unit in self.refused and self.refused[unit].report not in waiting:
            del self.refused[unit]
        return waiting

    async def issue_due(self, unit: Address, waiting: Sequence[Report]) -> None:
        """Issue what of a unit's reports that wait may be issued now.

        Raises:
            StorageError: What was issued before is durable.
        """
        for report in list(self._due(unit, waiting)):
            operation = energy_operation(call_of(report))
            try:
                tx_id, _ = await self._issuances[unit].issue(operation)
            except StorageError:
                raise
            except UnavailableError as error:
                _log.info("report put off", unit=encode_address(unit), error=str(error))
                return
            self._in_flight[tx_id] = _Issued(unit, operation)

    def _due(self, unit: Address, waiting: Sequence[Report]) -> Iterator[Report]:
        """Yield the reports of the lowest stage that are not under way."""
        if self._clock.wall_ms() < self._not_before_ms.get(unit, 0):
            return
        under_way = {one.operation for one in self._in_flight.values() if one.unit == unit}
        stage = min((one.stage for one in waiting), default=0)
        left = MAX_IN_FLIGHT - len(under_way)
        for one in waiting:
            if left <= 0 or one.stage > stage:
                continue
            if energy_operation(call_of(one)) not in under_way:
                left -= 1
                yield one

    def _observe(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Confirmed():
                    for tx_id, outcome in effect.outcomes:
                        issued = self._in_flight.pop(tx_id, None)
                        if issued is not None and isinstance(outcome, Ignored):
                            self._refuse(issued, outcome.reason)
                case Expired(tx_id):
                    self._in_flight.pop(tx_id, None)
                case _:
                    pass

    def _refuse(self, issued: _Issued, reason: Reason) -> None:
        """Let the unit pause: but for a repeat of what is applied, somebody has to act."""
        waiting = self._waiting.get(issued.unit, ())
        named = [one for one in waiting if energy_operation(call_of(one)) == issued.operation]
        report = next((one for one in named if not self.is_over(one)), None)
        if report is None:
            return  # it counts: another copy of it was applied
        self._not_before_ms[issued.unit] = self._clock.wall_ms() + REFUSED_PAUSE_MS
        self.refused[issued.unit] = Refusal(report, reason)
        _log.error(
            "report refused",
            unit=encode_address(issued.unit),
            reason=reason.value,
            report=report.number,
            kind=report.kind,
            member=encode_address(Address(report.member)),
            energy_wh=report.energy_wh,
        )

    def _refind(self, executor: Executor, unit: Address, issuance: Issuance) -> None:
        """Find the reports that were issued before a restart and may still be referenced."""
        for stored in executor.journal.own_unreferenced(issuance.key.public):
            payload = decode(stored.data).transaction.payload
            is_open = self._core.state(stored.tx_id) in (State.TIP, State.PENDING)
            if is_open and isinstance(payload, Operation) and _is_of(unit, payload):
                self._in_flight[stored.tx_id] = _Issued(unit, payload)


def _is_of(unit: Address, operation: Operation) -> bool:
    """Return whether an operation is a report of a unit: one key may report for several."""
    if operation.contract != NAME:
        return False
    call = decoder.decode(operation.call)
    return isinstance(call, Produced | Consumed) and call.unit == unit
