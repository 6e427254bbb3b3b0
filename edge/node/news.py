"""Which of what a node attached its peers are told of."""

from collections.abc import Iterable, Iterator

from tangle.effects import Attached
from tangle.node import NodeCore


def news(core: NodeCore, attached: Iterable[Attached]) -> Iterator[bytes]:
    """Yield the bytes of what peers may not have yet: history that was caught up on is no news.

    Should one of them lack it after all, the next heartbeat makes it ask.
    """
    vertex_of, confirmed_index = core.graph.get, core.confirmed_index
    is_behind = core.latest_index > confirmed_index + 1
    for one in attached:
        if one.source is not None:
            vertex = vertex_of(one.tx_id)
            if vertex is None or is_behind:
                continue
            index = vertex.referenced_index
            if index is not None and index < confirmed_index:
                continue
        yield one.data
