"""What proofs of what a node has applied hang on."""

from edge.journal.journal import Journal
from tangle.anchors import Anchor
from tangle.errors import NotProvableError
from tangle.node import NodeCore


def anchor_of(journal: Journal, index: int, milestone: bytes) -> Anchor:
    """Return what proofs under the milestone of `index` hang on: it, and the keys' way to it."""
    return Anchor(journal.rotations(below=index), milestone)


def last_anchor(core: NodeCore, journal: Journal) -> Anchor:
    """Return the anchor of the state as it is now: the last milestone is referenced by none.

    Raises:
        NotProvableError: That milestone is not here, as after a start from a snapshot.
    """
    milestone = core.pending(core.confirmed_id)
    if milestone is None:
        raise NotProvableError(
            f"rows after milestone {core.confirmed_index}: that milestone is not here,"
            " the next one will be"
        )
    return anchor_of(journal, core.confirmed_index, milestone.data)
