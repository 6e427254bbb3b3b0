"""Rows of cohorts: which nodes certify together, as voters decided."""

from itertools import pairwise
from typing import Annotated, Final

import msgspec

from tangle.address import Address, AddressField
from tangle.codec import Decoder, encode
from tangle.rows import RowReader
from tangle.transaction import Counter

COHORT_PREFIX: Final = b"cohort/"
MAX_NODES: Final = 64
"""Of one cohort: every vault lists them, and each holds a share."""

MAX_STALE_MS: Final = 86_400_000
MAX_SKEW_MS: Final = 600_000
"""Clocks that differ by more are wrong, and a time of day is tried minute by minute."""

_MAX_ROW_SIZE: Final = 4_096

QuorumRule = Annotated[str, msgspec.Meta(pattern=r"^(majority|bft)\Z")]
"""More than half, or more than two thirds of all nodes: how many approve together."""


class Cohort(msgspec.Struct, frozen=True, array_like=True):
    """A row: the nodes that hold shares and approve, as last voted."""

    generation: Annotated[int, msgspec.Meta(ge=1, le=2**32)]
    """From 1; each vote makes the next."""

    nodes: Annotated[tuple[AddressField, ...], msgspec.Meta(min_length=1, max_length=MAX_NODES)]
    """Strictly ascending."""

    quorum: QuorumRule
    max_stale_ms: Counter
    """A node whose view of the ledger is older denies."""

    skew_ms: Counter
    """By how much a node's clock may be wrong."""

    def __post_init__(self) -> None:
        if not all(low < high for low, high in pairwise(self.nodes)):
            raise ValueError("nodes of a cohort must be distinct and in ascending order")


_cohorts: Final = Decoder(Cohort, "cohort row", _MAX_ROW_SIZE)


def cohort_key(name: str) -> bytes:
    """Return the key of a cohort's row."""
    return COHORT_PREFIX + name.encode("ascii")


def cohort(rows: RowReader, name: str) -> Cohort | None:
    """Return the cohort of that name as it is now."""
    value = rows.get(cohort_key(name))
    return None if value is None else _cohorts.read(value)


def cohort_row(one: Cohort) -> bytes:
    """Return the value of a cohort's row."""
    return encode(one)


def decode_cohort_row(key: bytes, value: bytes) -> Cohort | None:
    """Return what a cohort's row says; `None` for a row of another kind.

    Raises:
        MalformedBytesError: The value is none of that key.
    """
    return _cohorts.decode(value) if key.startswith(COHORT_PREFIX) else None


def has_quorum(one: Cohort, yes: int) -> bool:
    """Return whether so many of all registered nodes are enough, those that are silent counted."""
    whole = len(one.nodes)
    return 3 * yes > 2 * whole if one.quorum == "bft" else 2 * yes > whole


def node_index(nodes: tuple[bytes, ...], node: Address) -> int:
    """Return the index of a node's share, from 1; 0 if it is none of `nodes`."""
    return nodes.index(node) + 1 if node in nodes else 0
