"""NodeCore: what may come in, and when it becomes solid."""

import pytest

from tangle.address import address_of
from tangle.codec import encode
from tangle.effects import (
    Attached,
    Dropped,
    Effect,
    Instant,
    Misbehaved,
    Requested,
)
from tangle.errors import (
    BadPayloadError,
    BadSignatureError,
    InvalidError,
    MalformedBytesError,
    MissingWorkError,
    TooFarAheadError,
    UnknownIssuerError,
    UnknownParentsError,
    WrongNetworkError,
)
from tangle.genesis import entry_points
from tangle.outcomes import Ignored, Reason, State
from tangle.transaction import (
    IssuerWitness,
    Operation,
    SignedTransaction,
    TransactionId,
)
from tangle.verification import Verified
from tangle.waiting import MAX_HELD, MAX_REQUEST_TRIES, REQUEST_TIMEOUT_MS
from tests.community import (
    START_MS,
    Maker,
    key,
    with_parameters,
)
from tests.tangle.cores import (
    ALICE,
    BOB,
    EDGE,
    GENESIS,
    MAKE,
    NOW,
    G,
    H,
    at,
    attached,
    confirm,
    fresh_core,
    outcome_of,
)


def test_a_transaction_on_the_entry_points_is_attached_and_named_to_the_journal() -> None:
    core, tx = fresh_core(), MAKE.transaction(EDGE, 0, (G, H))

    effects = core.receive(ALICE, tx.data, NOW)

    assert effects == [Attached(tx.tx_id, tx.data, ALICE, is_milestone=False)]
    assert core.state(tx.tx_id) is State.TIP
    assert core.receive(BOB, tx.data, NOW) == []


def test_a_missing_parent_is_requested_and_asked_for_again_until_it_comes() -> None:
    core = fresh_core()
    parent = MAKE.transaction(EDGE, 0, (G, H))
    child = MAKE.transaction(EDGE, 1, (G, parent.tx_id))

    assert core.receive(ALICE, child.data, NOW) == [Requested((parent.tx_id,), ALICE)]
    assert core.state(child.tx_id) is State.WAITING
    assert core.next_deadline_ms() == NOW.wall_ms + REQUEST_TIMEOUT_MS
    assert core.tick(at(REQUEST_TIMEOUT_MS - 1)) == []
    assert core.tick(at(REQUEST_TIMEOUT_MS)) == [Requested((parent.tx_id,), None)]
    effects = core.receive(BOB, parent.data, at(1_500))

    assert attached(effects) == [parent.tx_id, child.tx_id]
    assert core.next_deadline_ms() is None
    assert core.state(parent.tx_id) is State.PENDING


def test_what_nobody_has_is_given_up_and_what_waits_for_it_leaves() -> None:
    core = fresh_core()
    child = MAKE.transaction(EDGE, 1, (G, TransactionId(bytes(31) + b"x")))
    core.receive(ALICE, child.data, NOW)

    effects: list[Effect] = []
    for tries in range(MAX_REQUEST_TRIES):
        effects = core.tick(at((tries + 1) * REQUEST_TIMEOUT_MS))

    assert [type(effect) for effect in effects] == [Dropped]
    assert core.state(child.tx_id) is State.UNKNOWN
    assert core.next_deadline_ms() is None


VALID = MAKE.transaction(EDGE, 0, (G, H))
WORKING = with_parameters(GENESIS, work_per_byte=64)
WORKED = Maker(WORKING)
WG, WH = entry_points(WORKING)


def _with_nonce(verified: Verified, nonce: bytes) -> bytes:
    assert isinstance(verified.witness, IssuerWitness)
    witness = IssuerWitness(verified.witness.signature, nonce)
    return encode(SignedTransaction(verified.transaction, witness))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(VALID.data[:-1], MalformedBytesError, id="truncated"),
        pytest.param(VALID.data + b"\0", MalformedBytesError, id="trailing byte"),
        pytest.param(b"\xc0" * 40_000, MalformedBytesError, id="over-long"),
        pytest.param(WORKED.transaction(EDGE, 0, (WG, WH)).data, WrongNetworkError, id="network"),
        pytest.param(
            MAKE.witnessed(VALID.transaction, key(5)).data, BadSignatureError, id="wrong key"
        ),
        pytest.param(
            MAKE.transaction(EDGE, 0, (G, H), Operation("nonsense", b"")).data,
            BadPayloadError,
            id="no such contract",
        ),
        pytest.param(
            MAKE.transaction(EDGE, 0, (G, H), Operation("transfer", b"\x01")).data,
            BadPayloadError,
            id="no such call",
        ),
    ],
)
def test_bytes_that_break_a_rule_cost_their_sender(data: bytes, error: type[InvalidError]) -> None:
    core = fresh_core()

    (effect,) = core.receive(ALICE, data, NOW)

    assert isinstance(effect, Misbehaved)
    assert effect.peer == ALICE
    assert isinstance(effect.error, error)
    with pytest.raises(error):
        core.submit(data, NOW)
    assert core.graph.tip_count == 0


def test_too_little_work_is_refused_and_does_not_taint_the_id() -> None:
    core = fresh_core(WORKING)
    good = WORKED.transaction(EDGE, 0, (WG, WH))
    bad = next(
        _with_nonce(good, number.to_bytes(8, "big"))
        for number in range(100)
        if number.to_bytes(8, "big") != good.data[-8:]
    )

    (effect,) = core.receive(ALICE, bad, NOW)
    effects = core.receive(BOB, good.data, NOW)

    assert isinstance(effect, Misbehaved)
    assert isinstance(effect.error, MissingWorkError)
    assert attached(effects) == [good.tx_id]


def test_a_copy_worked_anew_is_the_same_transaction() -> None:
    core = fresh_core(WORKING)
    first = WORKED.transaction(EDGE, 0, (WG, WH))
    assert isinstance(first.witness, IssuerWitness)
    start = int.from_bytes(first.witness.nonce, "big") + 1
    copy = WORKED.witnessed(first.transaction, EDGE, start)

    effects = core.receive(ALICE, first.data, NOW) + core.receive(BOB, copy.data, NOW)

    assert copy.data != first.data
    assert attached(effects) == [first.tx_id]


def test_what_is_ahead_of_the_clock_is_held_and_comes_in_when_its_time_comes() -> None:
    core = fresh_core()
    early = MAKE.transaction(EDGE, 0, (G, H), issued_at_ms=START_MS + 60_001)

    with pytest.raises(TooFarAheadError):
        core.submit(early.data, NOW)
    assert core.receive(ALICE, early.data, NOW) == []
    assert core.state(early.tx_id) is State.WAITING
    due_ms = core.next_deadline_ms()
    assert due_ms is not None
    assert attached(core.tick(Instant(due_ms, due_ms))) == [early.tx_id]


def test_what_is_ahead_of_the_clock_comes_in_at_once_when_another_approves_it() -> None:
    core = fresh_core()
    early = MAKE.transaction(EDGE, 0, (G, H), issued_at_ms=START_MS + 90_000)
    child = MAKE.transaction(EDGE, 1, (G, early.tx_id))
    core.receive(ALICE, early.data, NOW)

    effects = core.receive(ALICE, child.data, NOW)

    assert attached(effects) == [early.tx_id, child.tx_id]


def test_a_stranger_is_held_back_until_a_milestone_registers_it_or_needs_it() -> None:
    core = fresh_core()
    foreign = MAKE.transaction(key(7), 0, (G, H))
    child = MAKE.transaction(EDGE, 0, (G, foreign.tx_id))

    with pytest.raises(UnknownIssuerError):
        core.submit(foreign.data, NOW)
    assert core.receive(ALICE, foreign.data, NOW) == []
    effects = core.receive(ALICE, child.data, NOW)
    confirmed = confirm(core, child.tx_id, ms=10)

    assert attached(effects) == [foreign.tx_id, child.tx_id]
    assert outcome_of(confirmed, foreign) == Ignored(Reason.ISSUER_UNKNOWN)
    assert core.row(b"sequence/" + address_of(key(7).public)) is None


def test_the_room_for_strangers_is_bounded() -> None:
    core = fresh_core()

    effects = [
        effect
        for sequence in range(MAX_HELD + 1)
        for effect in core.receive(ALICE, MAKE.transaction(key(7), sequence, (G, H)).data, NOW)
    ]

    assert [type(effect) for effect in effects] == [Dropped]


def test_submitting_upon_unknown_parents_is_refused_for_now() -> None:
    core = fresh_core()
    orphan = MAKE.transaction(EDGE, 0, (G, TransactionId(b"?" * 32)))

    with pytest.raises(UnknownParentsError):
        core.submit(orphan.data, NOW)
