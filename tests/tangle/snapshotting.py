"""What a journal that began with a snapshot hands to a core, without a journal."""

from tangle.restored import Restored, StoredVertex
from tangle.snapshot import Start


def restored(start: Start) -> Restored:
    """Return what a journal would after `start_from`."""
    bodies = {one.tx_id: one.data for one in start.milestones}
    placed = [
        (tx_id, index)
        for index, ids in enumerate(start.cones, start.index - len(start.cones) + 1)
        for tx_id in ids
    ]
    recent = [
        StoredVertex(tx_id, bodies[tx_id], 0, index) for tx_id, index in placed if tx_id in bodies
    ]
    recent.append(StoredVertex(start.milestone_id, bodies[start.milestone_id], 0, None))
    return Restored(
        start.index,
        start.milestone_id,
        start.milestones[-1].transaction.issued_at_ms,
        start.rows,
        tuple(recent),
        roots=tuple(one for one in placed if one[0] not in bodies),
    )
