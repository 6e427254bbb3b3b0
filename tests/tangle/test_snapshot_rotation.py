"""Snapshots over a change of the coordinator keys."""

from collections.abc import Sequence

import msgspec
import pytest

from coordinator.issuer import sign_milestone
from tangle.accounts import COORDINATORS_KEY
from tangle.errors import InvalidSnapshotError
from tangle.genesis import network_id
from tangle.keys import SigningKey
from tangle.snapshot import (
    Snapshot,
    SnapshotCone,
    decode_snapshot,
    encode_snapshot,
    full_snapshot,
    verify_snapshot,
)
from tangle.transaction import Milestone
from tangle.verification import parse
from tests.tangle.anchoring import (
    FIRST_KEYS,
    GENESIS,
    ROWS,
    SECOND_KEYS,
    THIRD_KEYS,
    Said,
    draft_of,
    named,
    rotated,
)

NEW_KEYS = named(SECOND_KEYS)
NEW_ROWS = {**ROWS, COORDINATORS_KEY: NEW_KEYS}
ROTATION = rotated(1, NEW_KEYS)


def snapshot(signers: Sequence[SigningKey], *, knows_rotation: bool = True) -> Snapshot:
    """Return the snapshot of milestone 2, before which milestone 1 changed the keys."""
    before = parse(ROTATION.milestone)
    draft = draft_of(Said(2, NEW_ROWS))
    payload = draft.payload
    assert isinstance(payload, Milestone)
    second = msgspec.structs.replace(
        draft,
        parents=tuple(sorted((before.tx_id, draft.parents[0]))),
        payload=msgspec.structs.replace(payload, previous=before.tx_id),
    )
    signed = sign_milestone(second, tuple(signers)).data
    return full_snapshot(
        network_id(GENESIS),
        NEW_ROWS,
        (SnapshotCone(ROTATION.milestone, ()), SnapshotCone(signed, ())),
        (ROTATION,) if knows_rotation else (),
    )


def test_the_keys_that_hold_at_an_index_are_those_that_count() -> None:
    read = decode_snapshot(encode_snapshot(snapshot(SECOND_KEYS[:2])))

    assert len(verify_snapshot(read, GENESIS)) == 2
    assert read.rotations == (ROTATION,)


def test_the_old_keys_sign_nothing_after_a_rotation() -> None:
    with pytest.raises(InvalidSnapshotError, match="is no coordinator key"):
        verify_snapshot(snapshot(FIRST_KEYS[:2]), GENESIS)


def test_new_keys_without_the_rotation_that_names_them_are_refused() -> None:
    with pytest.raises(InvalidSnapshotError, match="is no coordinator key"):
        verify_snapshot(snapshot(SECOND_KEYS[:2], knows_rotation=False), GENESIS)


def test_a_forged_rotation_is_named() -> None:
    forged = rotated(1, NEW_KEYS, signers=THIRD_KEYS)
    good = snapshot(SECOND_KEYS[:2])

    with pytest.raises(InvalidSnapshotError, match="rotation 0"):
        verify_snapshot(Snapshot(good.header, good.rows, (), good.cones, (forged,)), GENESIS)
