"""The replicated state machine: what a contract is, and what it may know.

A contract is a handful of pure functions over rows. No clock, no chance, no floats, no
iteration in hash order: every node computes the same, byte for byte (PROTOCOL §8).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from tangle.address import Address
from tangle.keys import PublicKey
from tangle.outcomes import Event, Reason
from tangle.rows import RowReader
from tangle.transaction import TransactionId

CallT = TypeVar("CallT")


class Context(msgspec.Struct, frozen=True, gc=False):
    """All that a contract may know beside the rows and the call."""

    issuer: PublicKey
    address: Address
    """Of the issuer."""

    tx_id: TransactionId
    index: int
    """Of the milestone that references the operation."""

    timestamp_ms: int
    """Of that milestone, ledger time."""

    position: int = 0
    """Place in white-flag order within that milestone, from 0: with `index` it says which of two
    operations came first."""


class Changed(msgspec.Struct, frozen=True, gc=False):
    """What an operation does to the ledger."""

    changes: Mapping[bytes, bytes | None]
    """New values by key; `None` for a row that is gone."""

    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Contract(Generic[CallT]):
    """The rules of one family of operations."""

    name: str
    decode: Callable[[bytes], CallT]
    """Parses a call. Raises `MalformedBytesError`, which makes the transaction invalid."""

    apply: Callable[[RowReader, CallT, Context], Changed | Reason]
    """Decides one call. The rows are not modified."""

    end_milestone: Callable[[RowReader, int, int], Changed] | None = None
    """What happens after the last operation of a milestone, given its index and its
    timestamp in ledger ms: expiries, parameter changes."""


Contracts = Mapping[str, Contract[Any]]
"""The closed set that a network runs, by name."""


def by_name(*contracts: Contract[Any]) -> Contracts:
    """Return the contracts in ascending order of name: the order of their end steps."""
    return {one.name: one for one in sorted(contracts, key=lambda one: one.name)}


@dataclass(frozen=True, slots=True)
class Rules:
    """What phase 1 needs to judge bytes: constant for one network and protocol version."""

    network: bytes
    """First 8 bytes of the genesis hash."""

    work_per_byte: int
    contracts: Contracts = field(default_factory=dict)
