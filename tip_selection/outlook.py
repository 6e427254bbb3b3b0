"""What a pending transaction waits for, and which milestone may be expected to reference it."""

from dataclasses import dataclass
from enum import StrEnum

from tangle.transaction import TransactionId
from tip_selection.checkpoints import MAX_WAITING_TIPS
from tip_selection.heaviest_branch import cone_room
from tip_selection.view import View


class WaitsFor(StrEnum):
    """Why a transaction is not final yet."""

    TURN = "turn"
    """It came, and waits in the fair queue."""

    PARENTS = "parents"
    """Some of what it approves is missing here."""

    CLOCK = "clock"
    """It says it was issued later than now."""

    ISSUER = "issuer"
    """Nobody has registered its issuer."""

    APPROVAL = "approval"
    """No tip approves it yet; a milestone may take it as it is."""

    MILESTONE = "milestone"
    """It is approved: the next milestone."""

    BACKLOG = "backlog"
    """More waits than the next milestone takes."""

    OPERATOR = "operator"
    """Confirmation stopped: a person must decide."""

    REISSUE = "reissue"
    """It is below max depth: only issuing it anew helps."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to be expected, if all goes well."""

    waits_for: WaitsFor
    milestone_index: int | None
    """Of the milestone that may reference it; `None` if none may be expected to."""


def outlook(view: View, tx_id: TransactionId) -> Outlook:
    """Return what a pending transaction of the graph waits for.

    An estimate, from what this node sees and how our coordinator chooses: the oldest part of what
    waits first, as much as one milestone takes, and no more than its checkpoints merge.
    """
    vertex = view.graph[tx_id]
    if view.is_below_max_depth(vertex):
        return Outlook(WaitsFor.REISSUE, None)
    room = cone_room(view).transactions
    before = 0
    if view.graph.unreferenced_count > room:
        before = sum(other.order < vertex.order for other in view.graph.unreferenced())
    is_unapproved = not vertex.children
    is_crowded = is_unapproved and view.graph.tip_count > MAX_WAITING_TIPS
    later = before // max(1, room) + is_crowded
    index = view.confirmed_index + 1 + later
    if later:
        return Outlook(WaitsFor.BACKLOG, index)
    return Outlook(WaitsFor.APPROVAL if is_unapproved else WaitsFor.MILESTONE, index)
