"""One transaction as people ask for it: where it stands, what it waits for, what is likely."""

from random import Random
from typing import Final

from api.http.service import TransactionView
from edge.journal.entries import StoredTransaction
from tangle.effects import Instant
from tangle.node import NodeCore
from tangle.outcomes import Applied, Ignored, State
from tangle.transaction import TransactionId
from tip_selection.confidence import confidence
from tip_selection.outlook import Outlook, WaitsFor, outlook
from tip_selection.view import View

MAX_CONFIDENCE_WINDOW: Final = 2_000
"""Transactions in memory: a hundred walks take some 50 ms then. No answer beyond."""

MAX_CONFIDENCES: Final = 8
"""Computed between two milestones; what was asked for before is answered again."""


class Confidences:
    """Confirmation confidence, computed seldom: until the next milestone it is remembered."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._index = -1
        self._known: dict[TransactionId, int] = {}

    def of(self, core: NodeCore, tx_id: TransactionId) -> int | None:
        """Return the confidence in percent; `None` if it is unknown or would take too long."""
        if self._index != core.confirmed_index:
            self._index = core.confirmed_index
            self._known.clear()
        is_too_much = len(core.graph) > MAX_CONFIDENCE_WINDOW or len(self._known) >= MAX_CONFIDENCES
        if tx_id not in self._known and tx_id in core.graph and not is_too_much:
            self._known[tx_id] = confidence(_view(core), self._rng, tx_id)
        return self._known.get(tx_id)


def attached_view(
    core: NodeCore, stored: StoredTransaction, state: State, now: Instant, likely: int | None
) -> TransactionView:
    """Return one journalled transaction.

    Args:
        core: Of the node, at this moment.
        stored: As the journal holds it.
        state: Where it stands.
        now: This moment.
        likely: Its confidence, if it was asked for and is known.
    """
    outcome, vertex = stored.outcome, core.graph.get(stored.tx_id)
    expected = _outlook(core, stored.tx_id, state)
    index = None if expected is None else expected.milestone_index
    return TransactionView(
        stored.tx_id,
        stored.data,
        state,
        outcome.reason if isinstance(outcome, Ignored) else None,
        () if vertex is None else tuple(vertex.children),
        stored.milestone_index,
        stored.attached_at_ms,
        None if vertex is None else core.weights.weight(stored.tx_id),
        waits_for=None if expected is None else expected.waits_for,
        expected_index=index,
        expected_at_ms=None if index is None else _expected_at_ms(core, index, now),
        confidence=likely,
        events=outcome.events if isinstance(outcome, Applied) else (),
    )


def aside_view(
    core: NodeCore, tx_id: TransactionId, queued: bytes | None
) -> TransactionView | None:
    """Return one that came and is not attached, or `None`.

    Args:
        core: Of the node.
        tx_id: Its id.
        queued: Its bytes, if it waits in the fair queue.
    """
    if (arrival := core.waiting.get(tx_id)) is not None:
        data, waits_for = arrival.verified.data, WaitsFor.PARENTS
    elif (held := core.holding.get(tx_id)) is not None:
        data = held.verified.data
        waits_for = WaitsFor.CLOCK if core.holding.is_early(tx_id) else WaitsFor.ISSUER
    elif queued is not None:
        data, waits_for = queued, WaitsFor.TURN
    else:
        return None
    missing = core.waiting.missing(tx_id)
    return TransactionView(
        tx_id, data, State.WAITING, None, (), None, None, None, waits_for, missing
    )


def _outlook(core: NodeCore, tx_id: TransactionId, state: State) -> Outlook | None:
    if state is State.EXPIRED:
        return Outlook(WaitsFor.REISSUE, None)
    if state not in (State.TIP, State.PENDING) or core.state(tx_id) is None:
        return None  # final, or will be as soon as it is durable
    if core.halted is not None:
        return Outlook(WaitsFor.OPERATOR, None)
    return outlook(_view(core), tx_id)


def _expected_at_ms(core: NodeCore, index: int, now: Instant) -> int:
    """Return the ledger time of a milestone to come, if the coordinator keeps its beat."""
    beat_ms = core.parameters.milestone_interval_ms * core.parameters.time_scale
    ahead = index - core.confirmed_index
    return max(core.confirmed_at_ms + ahead * beat_ms, now.ledger_ms + (ahead - 1) * beat_ms)


def _view(core: NodeCore) -> View:
    return View(core.graph, core.weights, core.confirmed_index, core.parameters)
