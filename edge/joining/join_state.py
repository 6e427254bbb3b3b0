"""What a node says of joining, to people and programs."""

from dataclasses import dataclass
from typing import Final, Literal

Phase = Literal["asking", "fetching", "checking"]


@dataclass(frozen=True, slots=True)
class JoinProgress:
    """How far a node is that starts from a snapshot."""

    phase: Phase
    index: int
    """Milestone of the snapshot; 0 while peers are asked."""

    fetched_bytes: int
    size_bytes: int
    estimate_ms: int | None
    """Until all of it is here; `None` while no rate is known."""

    sources: int
    """Peers it is fetched from."""


ASKING: Final = JoinProgress("asking", 0, 0, 0, None, 0)


@dataclass(frozen=True, slots=True)
class JoinState:
    """What a node says of joining."""

    progress: JoinProgress | None = None
    """`None` while it does not."""

    refused: str | None = None
    """Why no snapshot was of use when it last tried."""


NOT_JOINING: Final = JoinState()
