"""A case before the matcher: what was sent, and what the node sees of ledger and time."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from access.matching.message import Ask, SignedAsk
from access.requests.records import Grant, Request, grant, request
from access.streams.sealing import ChunkLabel
from access.streams.stream import Chunk, chunk
from access.tokens.dact import Dact
from access.vaults.vault import Vault, vault
from tangle.accounts import network_hash
from tangle.address import Address
from tangle.cohorts import Cohort, cohort
from tangle.hashing import digest
from tangle.rows import RowReader

_STRICT: Final = (0, 0)
"""Staleness and skew where the ledger names no cohort: nothing passes."""


@dataclass(frozen=True, slots=True)
class Vantage:
    """What a certification node knows beside the message. All times are ledger time."""

    node: Address
    rows: RowReader
    milestone_index: int
    milestone_ms: int
    """Timestamp of the last milestone it applied."""

    view_age_ms: int
    """How long ago it applied that, by a clock that only counts."""

    now_ms: int
    """What its own clock shows."""

    answered: AbstractSet[bytes]
    """Replay keys of what it answered before, restarts included."""

    offline_releases: int = 0
    """Releases from a stale view within the last hour."""


@dataclass(frozen=True, slots=True)
class Case:
    """One ask as one node sees it; what is not on the ledger is `None`."""

    data: bytes
    signed: SignedAsk
    at: Vantage
    request: Request | None
    grant: Grant | None
    """That the request names."""

    vault: Vault | None
    """Of that grant."""

    cohort: Cohort | None
    """Of that vault, as it is now."""

    @property
    def ask(self) -> Ask:
        """What the subject signed."""
        return self.signed.ask

    @property
    def dact(self) -> Dact:
        """The subject's own document."""
        return self.signed.ask.grants[0].signed.dact

    @property
    def max_stale_ms(self) -> int:
        """How old a view may be."""
        return _STRICT[0] if self.cohort is None else self.cohort.max_stale_ms

    @property
    def skew_ms(self) -> int:
        """By how much clocks may differ."""
        return _STRICT[1] if self.cohort is None else self.cohort.skew_ms

    @property
    def is_stale(self) -> bool:
        """Whether the view is older than the cohort allows."""
        return self.at.view_age_ms > self.max_stale_ms

    @property
    def from_ms(self) -> int:
        """The earliest that it can be: never what a requester says."""
        return max(self.at.milestone_ms, self.at.now_ms - self.skew_ms)

    @property
    def to_ms(self) -> int:
        """The latest that it can be."""
        return max(self.from_ms, self.at.now_ms + self.skew_ms)

    @property
    def replay_key(self) -> bytes:
        """What is answered once: the subject and the nonce of its request."""
        nonce = b"" if self.request is None else self.request.nonce
        return digest(self.dact.subject + nonce)


def case_of(data: bytes, signed: SignedAsk, at: Vantage) -> Case:
    """Return the case with what the ledger has of it: nothing of that comes from the requester."""
    asked = request(at.rows, signed.ask.request)
    held = None if asked is None else grant(at.rows, asked.grant)
    of_vault = None if held is None else vault(at.rows, held.vault)
    of_cohort = None if of_vault is None else cohort(at.rows, of_vault.cohort)
    return Case(data, signed, at, asked, held, of_vault, of_cohort)


def chunks_of(case: Case) -> list[tuple[int, Chunk | None]]:
    """Return the chunks that the request names, as the ledger has them."""
    if case.request is None:
        return []
    rows, stream = case.at.rows, case.request.stream
    return [(number, chunk(rows, stream, number)) for number in case.request.chunks]


def label_of(rows: RowReader, stream: bytes, number: int, one: Chunk) -> ChunkLabel | None:
    """Return the label of a chunk, recomputed from the ledger; `None` without its vault."""
    of_vault = vault(rows, one.vault)
    if of_vault is None:
        return None
    return ChunkLabel(
        network_hash(rows),
        stream,
        number,
        one.from_ms,
        one.to_ms,
        one.vault,
        of_vault.cohort,
        of_vault.generation,
    )
