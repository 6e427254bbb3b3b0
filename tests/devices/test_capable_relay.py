"""A meter's relay before a real ledger, and those who would abuse it."""

import msgspec
import pytest

from devices.capable import (
    decode_state,
)
from devices.sources.rows import Position, Registers
from energy.ctt.calls import Recharge
from energy.ctt.standing import StandingProof, verify_standing
from energy.governance.acts import CoordinatorKeysAct, Vote
from energy.governance.contract import vote_operation
from tangle.accounts import sequence_window
from tangle.address import address_of
from tangle.codec import encode
from tangle.effects import Instant
from tangle.errors import InvalidProofError
from tangle.outcomes import Applied
from tangle.transaction import decode
from tests.community import COORDINATOR, VOTER, key
from tests.devices.capable_meter import Meter, begun
from tests.devices.village import (
    BOB,
    DEVICE,
    EDGE,
    GENESIS,
    INTERVAL_MS,
    MAKE,
    METER,
    NEIGHBOUR,
    Village,
)


def interrupted() -> tuple[Village, Meter]:
    """Return a village whose prosumer agreed, has nothing, and whose meter heard of it."""
    village, meter = begun()
    village.sign(0)
    meter.hears(village)
    assert meter.switched == [0]
    return village, meter


def test_an_empty_account_opens_the_relay_and_a_recharge_closes_it() -> None:
    village, meter = interrupted()
    for _ in range(4):
        meter.reads(0, 300)
    village.confirm()
    meter.hears(village)
    meter.delivers(village)
    village.confirm()

    meter.hears(village)

    assert meter.switched == [0, None]
    assert [one.limit_w for one in meter.told][-2:] == [0, None]
    assert meter.told[-1].milestone_index == village.core.confirmed_index


def test_who_did_not_agree_is_never_interrupted_and_a_protected_one_is_limited() -> None:
    village, meter = begun()
    meter.hears(village)
    assert meter.switched == []

    village.sign(600)
    meter.hears(village)
    assert meter.switched == [600]

    village.sign(None)
    meter.hears(village)
    assert meter.switched == [600, None]


def test_what_an_open_relay_kept_from_being_drawn_never_comes_back() -> None:
    village, meter = begun()
    meter.reads(100, 0)
    meter.read_until_ms = village.ledger_ms + INTERVAL_MS
    village.sign(0)
    meter.hears(village)
    meter.reads(1_000, 300)

    assert meter.registers == Registers(100, 300)
    assert meter.state.curtailed_wh == 1_000
    village.sign(None)
    meter.hears(village)
    meter.read_until_ms = village.ledger_ms
    meter.reads(40, 0)
    assert meter.registers == Registers(140, 300)
    there = Position(3, meter.read_until_ms, meter.registers)
    assert meter.core.sourced(there).registers == meter.source


def test_a_silent_edge_darkens_nobody() -> None:
    village, meter = interrupted()
    due_ms = meter.core.next_ledger_ms()
    assert due_ms is not None
    later = village.now(due_ms - village.ledger_ms)

    meter.carry_out(meter.core.tick(later), later)

    assert meter.switched == [0, None]
    assert meter.told[-1].why == "contact lost"


def test_an_old_proof_kept_for_later_does_not_interrupt() -> None:
    village, meter = begun()
    village.sign(0)
    kept = village.standing()
    for _ in range(10):
        village.confirm()

    meter.hears(village, standing=kept)

    assert meter.switched == []


def test_old_proofs_played_one_after_the_other_do_not_interrupt() -> None:
    village, meter = begun()
    village.sign(0)
    kept = []
    for _ in range(10):
        kept.append(village.standing())
        village.confirm()
    village.confirm(60_000)

    for one in kept:
        meter.hears(village, standing=one)

    assert meter.switched == []


def test_a_proof_of_a_neighbour_is_none_of_one_s_own() -> None:
    village, meter = begun()
    village.hand_over(BOB, address_of(NEIGHBOUR.public))
    village.sign(0, BOB)

    meter.hears(village, standing=village.standing(address_of(NEIGHBOUR.public)))

    assert meter.switched == []
    assert "row under the state root" in meter.unbelieved[0]


def parts(data: bytes) -> StandingProof:
    return msgspec.msgpack.decode(data, type=StandingProof)


@pytest.mark.parametrize("field_name", ["meter", "account", "sequence", "parameters"])
def test_a_row_of_another_state_is_refused(field_name: str) -> None:
    village, meter = begun()
    empty = parts(village.standing())
    village.sign(0)
    for _ in range(4):
        meter.reads(0, 10)
    village.does(METER, Recharge(500, None))
    now = parts(village.standing())
    mixed = msgspec.structs.replace(now, **{field_name: getattr(empty, field_name)})

    with pytest.raises(InvalidProofError, match="row under the state root"):
        verify_standing(encode(mixed), GENESIS, DEVICE)


def test_an_account_that_is_left_out_is_not_an_empty_one() -> None:
    village, _ = begun()
    cut = msgspec.structs.replace(parts(village.standing()), account=None)

    with pytest.raises(InvalidProofError, match="an account is there if, and only if"):
        verify_standing(encode(cut), GENESIS, DEVICE)


def test_an_absent_account_is_proven_to_have_signed_nothing() -> None:
    village, meter = begun()
    proof = parts(village.standing())
    assert proof.account is not None
    assert proof.account.value is None

    meter.hears(village)

    assert meter.switched == []
    assert meter.core.standing is not None
    assert meter.core.standing.limit_w is None


def test_a_proof_that_the_edge_signed_itself_is_refused() -> None:
    village, meter = begun()
    village.sign(0)
    fork = Village()
    fork.begin()
    fork.signer = EDGE  # the stolen key: good for readings, for no milestone
    honest = parts(village.standing())
    stolen = village.core.pending(village.core.confirmed_id)
    assert stolen is not None
    payload = stolen.milestone
    assert payload is not None
    made = MAKE.transaction(EDGE, 0, village.parents(), decode(stolen.data).transaction.payload)
    anchor = msgspec.structs.replace(honest.anchor, milestone=made.data)
    forged = msgspec.structs.replace(honest, anchor=anchor)

    meter.hears(village, standing=encode(forged))

    assert meter.switched == []
    assert meter.unbelieved


def test_a_proof_of_another_network_is_refused() -> None:
    village, _ = begun()
    village.sign(0)
    other = msgspec.structs.replace(GENESIS, name="another")

    with pytest.raises(InvalidProofError, match="milestone"):
        verify_standing(village.standing(), other, DEVICE)


def test_damaged_bytes_change_nothing() -> None:
    village, meter = interrupted()
    village.confirm()
    data = bytearray(village.standing())
    for at in range(0, len(data), 37):
        flipped = bytes(data[:at]) + bytes([data[at] ^ 1]) + bytes(data[at + 1 :])
        meter.carry_out(meter.core.receive_standing(flipped, village.now()), village.now())

    assert meter.switched == [0]
    assert len(meter.unbelieved) == len(range(0, len(data), 37))


def test_a_change_of_the_coordinator_s_keys_is_followed_by_proof() -> None:
    village, meter = begun()
    later = key(910)
    act = CoordinatorKeysAct((later.public,), 1)
    number = sequence_window(village.core.ledger.rows, address_of(VOTER.public)).next
    ballot = MAKE.transaction(
        VOTER, number, village.parents(), vote_operation(Vote(act, yes=True)), village.ledger_ms
    )
    village.take(ballot.data)
    village.confirm()
    assert isinstance(village.outcomes[ballot.tx_id], Applied)
    village.signer = later
    village.sign(0)

    bare = msgspec.structs.replace(
        parts(village.standing()),
        anchor=msgspec.structs.replace(parts(village.standing()).anchor, rotations=()),
    )
    meter.hears(village, standing=encode(bare))
    assert meter.switched == []
    meter.hears(village)

    assert meter.switched == [0]
    assert COORDINATOR.public != later.public


def test_a_restart_begins_with_a_closed_relay() -> None:
    village, meter = interrupted()
    assert decode_state(meter.disk).limit_w == 0

    meter.restart()

    assert meter.core.relay.limit_w is None
    assert meter.core.state.limit_w is None
    village.confirm()
    meter.hears(village)
    assert meter.switched == [0, 0]


def test_a_meter_says_from_time_to_time_where_its_relay_stands() -> None:
    village, meter = begun()
    assert [one.limit_w for one in meter.told] == [None]
    due_ms = meter.core.next_wall_ms()
    assert due_ms is not None

    later = Instant(due_ms, village.ledger_ms)
    meter.carry_out(meter.core.tick(later), later)

    assert len(meter.told) == 2
    meter.core.disconnected()
    assert meter.core.next_wall_ms() is None
