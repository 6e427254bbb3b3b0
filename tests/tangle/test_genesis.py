import msgspec
import pytest

from tangle.codec import encode
from tangle.errors import MalformedBytesError
from tangle.genesis import (
    Allocation,
    Genesis,
    GenesisIdentity,
    Parameters,
    decode_genesis,
    entry_points,
    genesis_hash,
    network_id,
)
from tangle.hashing import digest, domain
from tests.vectors import load

VECTOR = load("genesis")
BYTES = bytes.fromhex(VECTOR["bytes"])
GENESIS = decode_genesis(BYTES)
KEY = GENESIS.coordinator_keys[0]


def with_parameters(**changes: object) -> Genesis:
    parameters = msgspec.structs.replace(GENESIS.parameters, **changes)
    return msgspec.structs.replace(GENESIS, parameters=parameters)


def changed(**changes: object) -> Genesis:
    return msgspec.structs.replace(GENESIS, **changes)


def test_the_genesis_of_the_vector_is_the_same_everywhere() -> None:
    first, second = entry_points(GENESIS)

    assert encode(GENESIS) == BYTES
    assert genesis_hash(GENESIS).hex() == VECTOR["hash"]
    assert network_id(GENESIS).hex() == VECTOR["network"]
    assert [first.hex(), second.hex()] == VECTOR["entry_points"]


def test_network_and_entry_points_follow_from_the_hash() -> None:
    hashed = digest(domain("genesis") + BYTES)

    assert genesis_hash(GENESIS) == hashed
    assert network_id(GENESIS) == hashed[:8]
    assert entry_points(GENESIS) == (hashed, digest(hashed + b"\1"))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(changed(name="other"), id="name"),
        pytest.param(changed(created_at_ms=1), id="creation"),
        pytest.param(changed(ledger_start_ms=1), id="ledger start"),
        pytest.param(changed(quorum=3), id="quorum"),
        pytest.param(changed(identities=()), id="identities"),
        pytest.param(changed(allocations=()), id="allocations"),
        pytest.param(with_parameters(time_scale=2), id="a parameter"),
    ],
)
def test_any_difference_is_another_network(other: Genesis) -> None:
    assert network_id(decode_genesis(encode(other))) != network_id(GENESIS)
    assert not set(entry_points(other)) & set(entry_points(GENESIS))


def test_the_protocols_defaults() -> None:
    parameters = Parameters()

    assert parameters.work_per_byte == 64
    assert parameters.milestone_interval_ms == 2_000
    assert parameters.max_clock_ahead_ms == 60_000
    assert (parameters.max_depth, parameters.reference_depth) == (15, 20)
    assert parameters.max_cone_transactions == 50_000
    assert parameters.max_cone_bytes == 32 * 2**20
    assert (parameters.walk_depth, parameters.alpha_ppm) == (5, 10_000)
    assert (parameters.admission, parameters.time_scale) == ("registered", 1)


@pytest.mark.parametrize(
    "genesis",
    [
        pytest.param(changed(name=""), id="empty name"),
        pytest.param(changed(name="two words"), id="space in the name"),
        pytest.param(changed(name="n" * 65), id="long name"),
        pytest.param(changed(created_at_ms=-1), id="time below zero"),
        pytest.param(changed(created_at_ms=2**63), id="time too large"),
        pytest.param(changed(coordinator_keys=()), id="no coordinator"),
        pytest.param(changed(coordinator_keys=(bytes(32),) * 33), id="33 coordinators"),
        pytest.param(changed(coordinator_keys=(bytes(31),)), id="short key"),
        pytest.param(changed(quorum=0), id="no quorum"),
        pytest.param(changed(quorum=33), id="quorum of 33"),
        pytest.param(changed(identities=(GenesisIdentity(KEY, "king"),)), id="unknown role"),
        pytest.param(changed(identities=(GenesisIdentity(KEY, "meter\n"),)), id="role and more"),
        pytest.param(changed(allocations=(Allocation(bytes(32), 0),)), id="nothing allocated"),
        pytest.param(changed(allocations=(Allocation(bytes(32), 10**15 + 1),)), id="too much"),
        pytest.param(with_parameters(work_per_byte=-1), id="negative work"),
        pytest.param(with_parameters(work_per_byte=2**20 + 1), id="too much work"),
        pytest.param(with_parameters(milestone_interval_ms=49), id="interval too short"),
        pytest.param(with_parameters(max_depth=0), id="no depth"),
        pytest.param(with_parameters(reference_depth=1_001), id="too deep"),
        pytest.param(with_parameters(max_cone_transactions=0), id="no cone"),
        pytest.param(with_parameters(walk_depth=0), id="no walk"),
        pytest.param(with_parameters(alpha_ppm=-1), id="negative alpha"),
        pytest.param(with_parameters(alpha_ppm=0.5), id="alpha as a float"),
        pytest.param(with_parameters(admission="closed"), id="unknown admission"),
        pytest.param(with_parameters(time_scale=0), id="time stands still"),
    ],
)
def test_a_genesis_outside_its_limits_does_not_decode(genesis: Genesis) -> None:
    with pytest.raises(MalformedBytesError):
        decode_genesis(encode(genesis))


def test_parameters_left_to_their_defaults_are_spelt_out() -> None:
    shortened = msgspec.msgpack.decode(BYTES)
    shortened[3] = shortened[3][:5]

    with pytest.raises(MalformedBytesError, match="not the canonical spelling"):
        decode_genesis(msgspec.msgpack.encode(shortened))
