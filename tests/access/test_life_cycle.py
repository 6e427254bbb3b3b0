"""The life of a thing: registered, bound by its label, published, rotated, revoked."""

import msgspec
import pytest

from access.identity.claiming import (
    ClaimLabel,
    bind_call,
    countersign,
    label_text,
    parse_label,
)
from access.identity.idot import are_current, idot, signing_key
from access.identity.life_cycle import (
    Bind,
    BindStatement,
    Publish,
    RevokeKeys,
    Rotate,
    bind_message,
)
from tangle.accounts import NO_ADDRESS, identity
from tangle.address import Address, encode_address
from tangle.errors import InvalidAddressError, InvalidError
from tangle.keys import SigningKey
from tangle.outcomes import Reason
from tests.access.world import (
    FOREVER_MS,
    GENESIS_HASH,
    METER,
    NEIGHBOUR,
    NOW_MS,
    OWNER,
    STRANGER,
    SUBJECT,
    World,
    address,
    keys_of,
    new_world,
    next_key,
)
from tests.community import key, meter_key

DEVICE = meter_key(7)
SECRET = b"one-time-secret!"


def statement(
    number: int = 1, owner: SigningKey = OWNER, device: SigningKey = DEVICE
) -> BindStatement:
    return BindStatement(GENESIS_HASH, address(device), address(owner), number)


def bound(
    number: int = 1,
    owner: SigningKey = OWNER,
    device: SigningKey = DEVICE,
    previous: SigningKey | None = None,
) -> Bind:
    said = statement(number, owner)
    proof = device.sign(bind_message(said))
    return bind_call(said, owner, proof, previous)


def world_with_device() -> World:
    world = new_world(chunks=0)
    world.register(DEVICE, NO_ADDRESS)
    return world


# Claims.


def test_a_label_is_read_as_it_was_written() -> None:
    label = ClaimLabel(address(DEVICE), SECRET)

    assert parse_label(f" {label_text(label)}\n") == label
    assert SECRET.hex() not in repr(label)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "starts with", id="nothing"),
        pytest.param("http://x", "starts with", id="another scheme"),
        pytest.param(f"twclaim:{encode_address(address(DEVICE))}:zz", "hexadecimal", id="no hex"),
        pytest.param(f"twclaim:{encode_address(address(DEVICE))}:00", "1 bytes", id="short"),
    ],
)
def test_a_text_that_is_no_label_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        parse_label(text)


def test_a_label_with_a_mistyped_address_is_refused_without_its_secret() -> None:
    text = label_text(ClaimLabel(address(DEVICE), SECRET)).replace("tw1", "tw1q", 1)

    with pytest.raises(InvalidAddressError) as refused:
        parse_label(text)

    assert SECRET.hex() not in str(refused.value)


def test_a_device_countersigns_for_who_has_its_secret_once() -> None:
    said = statement()

    proof = countersign(said, address(DEVICE), SECRET, SECRET, DEVICE)

    assert proof == DEVICE.sign(bind_message(said))
    for offered, expected in ((b"wrong", SECRET), (b"", SECRET), (SECRET, None)):
        with pytest.raises(InvalidError, match="secret"):
            countersign(said, address(DEVICE), offered, expected, DEVICE)
    with pytest.raises(InvalidError, match="another device"):
        countersign(said, address(METER), SECRET, SECRET, DEVICE)


def test_a_device_that_is_bound_countersigns_a_change_of_owners() -> None:
    said = statement(number=2)

    assert countersign(said, address(DEVICE), b"", None, DEVICE)


# Binding.


def test_a_device_is_bound_by_itself_and_its_owner() -> None:
    world = world_with_device()

    changed = world.must(world.device(bound()))

    held = identity(world.rows, address(DEVICE))
    assert held is not None
    assert held.owner == address(OWNER)
    assert [event.name for event in changed.events] == ["device.bound"]


def test_no_binding_counts_twice_nor_out_of_turn() -> None:
    world = world_with_device()
    first = bound()

    assert world.device(bound(2)) is Reason.OUT_OF_RANGE
    world.must(world.device(first))
    assert world.device(first) is Reason.OUT_OF_RANGE


def test_a_change_of_owners_needs_the_owner_before() -> None:
    world = world_with_device()
    world.must(world.device(bound()))

    assert world.device(bound(2, NEIGHBOUR)) is Reason.BAD_PROOF
    assert world.device(bound(2, NEIGHBOUR, previous=STRANGER)) is Reason.BAD_PROOF
    world.must(world.device(bound(2, NEIGHBOUR, previous=OWNER)))

    held = identity(world.rows, address(DEVICE))
    assert held is not None
    assert held.owner == address(NEIGHBOUR)
    world.must(world.device(bound(3, OWNER, previous=NEIGHBOUR)))


def test_a_binding_needs_owner_and_device() -> None:
    world = world_with_device()
    good = bound()
    change = msgspec.structs.replace

    for bad in (
        change(good, owner_proof=bytes(64)),
        change(good, device_proof=bytes(64)),
        change(good, device_proof=good.owner_proof),
        bound(owner=OWNER, device=METER),
    ):
        assert world.device(bad) is Reason.BAD_PROOF
    assert world.device(change(good, device=bytes(32))) is Reason.UNKNOWN_MEMBER
    assert world.device(change(good, owner=bytes(32))) is Reason.UNKNOWN_MEMBER
    assert world.device(change(good, owner=address(METER))) is Reason.NOT_ALLOWED
    assert world.device(change(good, device=address(SUBJECT))) is Reason.NOT_ALLOWED


# Publishing.


def test_an_owner_publishes_the_keys_of_a_device() -> None:
    world = world_with_device()
    world.must(world.device(bound()))

    assert world.publish(DEVICE, DEVICE) is Reason.NOT_ALLOWED
    assert world.publish(DEVICE, STRANGER) is Reason.NOT_ALLOWED
    world.must(world.publish(DEVICE, OWNER))
    assert world.publish(DEVICE, OWNER) is Reason.EXISTS

    held = idot(world.rows, address(DEVICE))
    assert held is not None
    assert (held.rotations, held.previous_key, held.revoked_at_ms) == (0, None, None)


def test_keys_are_published_with_their_own_proof() -> None:
    world = world_with_device()
    keys = keys_of(DEVICE)
    call = Publish(address(DEVICE), keys, bytes(64))

    assert world.device(call, DEVICE) is Reason.BAD_PROOF
    assert world.publish(DEVICE, DEVICE, sign_key=STRANGER.public) is Reason.BAD_PROOF
    assert world.publish(DEVICE, DEVICE, not_after_ms=0) is Reason.OUT_OF_RANGE
    nobody = msgspec.structs.replace(call, thing=bytes(32))
    assert world.device(nobody, DEVICE) is Reason.UNKNOWN_MEMBER


# Rotation.


def test_the_next_key_takes_over_and_then_the_one_after() -> None:
    world = new_world(chunks=0)
    thing, second = address(SUBJECT), next_key(SUBJECT)

    world.must(world.rotate(thing, second))
    assert signing_key(world.rows, thing) == second.public
    world.must(world.rotate(thing, next_key(second), rotations=2))

    held = idot(world.rows, thing)
    assert held is not None
    assert (held.rotations, held.previous_key) == (2, second.public)


def test_attack_v6_a_stolen_key_cannot_rotate() -> None:
    world = new_world(chunks=0)
    thing = address(SUBJECT)

    # the thief has the present key, and wants one of its own
    assert world.rotate(thing, key(4_711)) is Reason.BAD_PROOF
    assert world.rotate(thing, SUBJECT) is Reason.BAD_PROOF
    # nor is the right key enough without its signature, or for an earlier turn
    keys = keys_of(next_key(SUBJECT))
    assert world.device(Rotate(thing, keys, bytes(64))) is Reason.BAD_PROOF
    assert world.rotate(thing, next_key(SUBJECT), rotations=2) is Reason.BAD_PROOF
    assert world.rotate(Address(bytes(32)), next_key(SUBJECT)) is Reason.NO_SUCH_OBJECT
    assert signing_key(world.rows, thing) == SUBJECT.public


def test_a_rotation_to_keys_that_never_hold_is_refused() -> None:
    world = new_world(chunks=0)
    keys = msgspec.structs.replace(keys_of(next_key(SUBJECT)), not_before_ms=5, not_after_ms=5)

    assert world.device(Rotate(address(SUBJECT), keys, bytes(64))) is Reason.OUT_OF_RANGE


# Revocation, and what counts.


def test_revoked_keys_are_revoked_for_good() -> None:
    world = new_world(chunks=0)
    thing = address(METER)

    assert world.device(RevokeKeys(thing), STRANGER) is Reason.NOT_ALLOWED
    assert world.device(RevokeKeys(Address(bytes(32))), OWNER) is Reason.NO_SUCH_OBJECT
    world.must(world.device(RevokeKeys(thing), OWNER))

    assert signing_key(world.rows, thing) is None
    assert not are_current(world.rows, thing, NOW_MS, NOW_MS)
    assert world.device(RevokeKeys(thing), OWNER) is Reason.REVOKED
    assert world.rotate(thing, next_key(METER)) is Reason.REVOKED


def test_without_published_keys_the_registered_one_counts() -> None:
    world = world_with_device()

    assert signing_key(world.rows, address(DEVICE)) == DEVICE.public
    assert are_current(world.rows, address(DEVICE), 0, FOREVER_MS)
    assert signing_key(world.rows, Address(bytes(32))) is None
    assert not are_current(world.rows, Address(bytes(32)), 0, 1)


def test_keys_hold_from_their_first_moment_to_before_their_last() -> None:
    world = world_with_device()
    world.must(world.publish(DEVICE, DEVICE, not_before_ms=100, not_after_ms=200))
    thing = address(DEVICE)

    assert are_current(world.rows, thing, 100, 199)
    assert not are_current(world.rows, thing, 99, 150)
    assert not are_current(world.rows, thing, 150, 200)
