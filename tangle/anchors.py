"""What a proof hangs on: a signed milestone, and the way of the coordinator keys from genesis.

Genesis names the first keys. Each later change of them is a row of the state, so the milestone
that made it, signed by the keys before, proves the keys after. Whoever holds genesis can follow
that chain and needs to trust nobody who hands it over.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Final

import msgspec

from tangle.accounts import COORDINATORS_KEY, CoordinatorKeys, coordinators
from tangle.errors import InvalidProofError, InvalidTransactionError, MalformedBytesError
from tangle.genesis import Genesis, network_id
from tangle.rows import Rows
from tangle.transaction import MAX_TRANSACTION_SIZE, Milestone, TransactionId
from tangle.trie import StateProof, Trie, verify_presence
from tangle.verification import (
    Verified,
    parse,
    verify_milestone_signatures,
    verify_origin,
)

MAX_ROTATIONS: Final = 256
"""Changes of the coordinator keys in one proof: more than twenty years of one a month."""

MAX_VALUE_SIZE: Final = 65_536
"""Bytes of one row's value: what the decoders of rows accept at most."""

TransactionBytes = Annotated[bytes, msgspec.Meta(max_length=MAX_TRANSACTION_SIZE)]
ValueBytes = Annotated[bytes, msgspec.Meta(max_length=MAX_VALUE_SIZE)]


class Rotation(msgspec.Struct, frozen=True, array_like=True):
    """One change of the coordinator keys."""

    milestone: TransactionBytes
    """Canonical bytes of the milestone after which the new keys hold, signed by the old ones."""

    path: StateProof
    """Of the row `coordinators`, under that milestone's state root."""

    value: ValueBytes
    """Of that row: the new keys."""


class Anchor(msgspec.Struct, frozen=True, array_like=True):
    """A milestone, and every change of the keys before it."""

    rotations: Annotated[tuple[Rotation, ...], msgspec.Meta(max_length=MAX_ROTATIONS)]
    """In order of index, all below the milestone's."""

    milestone: TransactionBytes
    """Canonical bytes, signatures included."""


@dataclass(frozen=True, slots=True)
class ProvenMilestone:
    """A milestone that a quorum of the keys that hold at its index signed."""

    milestone_id: TransactionId
    payload: Milestone
    rotations: int
    """Changes of the keys before it that the proof shows."""

    @property
    def index(self) -> int:
        """Its index."""
        return self.payload.index

    @property
    def timestamp_ms(self) -> int:
        """Its time, ledger time."""
        return self.payload.timestamp_ms


@dataclass(frozen=True, slots=True)
class Keyring:
    """The coordinator keys of one network, by the index from which on they hold."""

    network: bytes
    turns: tuple[tuple[int, CoordinatorKeys], ...]
    """Ascending by index; the first are those of genesis, from index 1 on."""

    def at(self, index: int) -> CoordinatorKeys:
        """Return the keys that sign the milestone of `index`, from 1 on."""
        return next(keys for since, keys in reversed(self.turns) if since <= index)


def prove_rotation(milestone: bytes, trie: Trie, value: bytes) -> Rotation:
    """Return the proof that the state `trie` after `milestone` names the keys in `value`."""
    return Rotation(milestone, trie.prove(COORDINATORS_KEY), value)


def verify_anchor(anchor: Anchor, genesis: Genesis) -> tuple[ProvenMilestone, Keyring]:
    """Check a milestone with nothing but genesis at hand.

    Returns:
        The milestone, and the keys up to its index.

    Raises:
        InvalidProofError: A rotation or the milestone is not signed by a quorum of the keys that
            hold at its index, is of another network, or is out of order.
    """
    keyring, milestones = follow_rotations(anchor.rotations, genesis)
    with naming("milestone"):
        proven = _verify_milestone(anchor.milestone, keyring)
    _verify_order([*milestones[-1:], proven])
    return proven, keyring


def follow_rotations(
    rotations: Sequence[Rotation], genesis: Genesis
) -> tuple[Keyring, list[ProvenMilestone]]:
    """Return the keys that genesis and `rotations` name, and the milestones of the rotations.

    Raises:
        InvalidProofError: A rotation that does not follow from the keys before it.
    """
    first = CoordinatorKeys(genesis.coordinator_keys, genesis.quorum)
    keyring = Keyring(network_id(genesis), ((1, first),))
    milestones: list[ProvenMilestone] = []
    for number, rotation in enumerate(rotations):
        with naming(f"rotation {number}"):
            proven = _verify_milestone(rotation.milestone, keyring)
            verify_presence(
                rotation.path, COORDINATORS_KEY, rotation.value, proven.payload.state_root
            )
            keys = coordinators(Rows({COORDINATORS_KEY: rotation.value}))
            _verify_keys(keys, keyring.turns[-1][1])
        milestones.append(proven)
        _verify_order(milestones[-2:])
        keyring = Keyring(keyring.network, (*keyring.turns, (proven.index + 1, keys)))
    return keyring, milestones


def verify_signed(verified: Verified, keyring: Keyring) -> None:
    """Check network, shape and signatures of a milestone. Raises `InvalidTransactionError`."""
    verify_origin(verified, keyring.network)  # its index is from 1 on after this
    verify_milestone_signatures(verified, keyring.at(verified.transaction.sequence))


@contextmanager
def naming(part: str) -> Iterator[None]:
    """Turn what is wrong with one part of a proof into an error of the proof that names it."""
    try:
        yield
    except (InvalidTransactionError, MalformedBytesError, InvalidProofError) as error:
        raise InvalidProofError(f"{part}: {error}") from error


def _verify_milestone(data: bytes, keyring: Keyring) -> ProvenMilestone:
    verified = parse(data)
    payload = verified.milestone
    if payload is None:
        raise InvalidProofError(f"transaction {verified.tx_id.hex()} is no milestone")
    verify_signed(verified, keyring)
    return ProvenMilestone(verified.tx_id, payload, len(keyring.turns) - 1)


def _verify_order(milestones: Sequence[ProvenMilestone]) -> None:
    """Check that indexes and times grow: keys of a rotation sign what comes after it only."""
    for low, high in pairwise(milestones):
        if low.index >= high.index or low.timestamp_ms >= high.timestamp_ms:
            raise InvalidProofError(
                f"milestone {high.index} of {high.timestamp_ms} ms comes after the rotation"
                f" under milestone {low.index} of {low.timestamp_ms} ms, and is not later"
            )


def _verify_keys(keys: CoordinatorKeys, before: CoordinatorKeys) -> None:
    if list(keys.keys) != sorted(set(keys.keys)):
        raise InvalidProofError("the coordinator keys are not distinct and ascending")
    if not len(keys.keys) < 2 * keys.quorum <= 2 * len(keys.keys):
        raise InvalidProofError(
            f"a quorum of {keys.quorum} of {len(keys.keys)} coordinator keys is not more than half"
        )
    if keys == before:
        raise InvalidProofError("the coordinator keys are the same as before")
