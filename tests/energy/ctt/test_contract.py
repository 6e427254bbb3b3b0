"""The CTT contract: its life cycle, and a table of everything that it refuses."""

from collections.abc import Sequence

import pytest
from typing_extensions import override

from energy.ctt.calls import (
    Approve,
    Buy,
    BuyEmpty,
    Confirm,
    Consume,
    Create,
    CttCall,
    Recharge,
    Register,
    SetMaxTokenSupply,
    SetOnSale,
    SetTokenCapacity,
    SignInterruption,
    Transfer,
    UpdateAdmin,
    WithdrawSale,
)
from energy.ctt.contract import apply_ctt
from energy.ctt.rows import (
    Account,
    CttToken,
    account,
    account_key,
    account_row,
    collection,
    decode_account,
    decode_ctt_row,
    token,
    tokens_of,
)
from tangle.contracts import Changed, Context
from tangle.keys import SigningKey
from tangle.outcomes import Reason
from tangle.rows import Draft
from tangle.transaction import MAX_INTEGER, TransactionId
from tests.community import VOTER, member_key, meter_key
from tests.energy.ctt.world import (
    ADMIN,
    ALICE,
    BOB,
    COINS_UEUR,
    EUR,
    KWH,
    METER,
    OPERATOR,
    World,
    address,
    community,
    empty_world,
)

Step = tuple[SigningKey, CttCall]
CARLA = member_key(9)


def after(steps: Sequence[Step], world: World | None = None) -> World:
    """Return a community in which all of these calls were applied."""
    world = community() if world is None else world
    for issuer, call in steps:
        assert world.call(issuer, call) is None, call
    return world


def on_board(world: World, number: int) -> int:
    one = token(world.rows, number)
    assert one is not None
    return one.energy_wh


def test_a_token_lives_from_empty_to_charged_to_sold_to_consumed() -> None:
    world = after([(ALICE, BuyEmpty(1)), (METER, Recharge(6 * KWH, None))])

    assert world.eeuro(ALICE) == COINS_UEUR - 1 * EUR
    assert world.eeuro(ADMIN) == COINS_UEUR + 1 * EUR

    # 1.00 for the token and 6 kWh at 0.05: 1.30
    after([(ALICE, SetOnSale(0, 1 * EUR, 50_000))], world)
    assert world.said("price_ueur") == 1_300_000
    after([(BOB, Buy(0, 1_300_000))], world)

    assert token(world.rows, 0) == CttToken(address(BOB), 10 * KWH, 6 * KWH, None, None)
    assert world.eeuro(BOB) == COINS_UEUR - 1_300_000
    assert world.eeuro(ALICE) == COINS_UEUR + 300_000
    assert account(world.rows, address(BOB)) == Account(6 * KWH)
    assert account(world.rows, address(ALICE)) == Account()


def test_the_price_of_energy_on_board_is_rounded_down() -> None:
    world = after([(ALICE, BuyEmpty(1)), (METER, Recharge(999, None))])

    after([(ALICE, SetOnSale(0, 0, 1))], world)

    assert world.said("price_ueur") == 0


def test_a_recharge_fills_tokens_in_order_and_says_what_fits_nowhere() -> None:
    world = after([(ALICE, BuyEmpty(3)), (ALICE, SetOnSale(1, 0, 0))])

    after([(METER, Recharge(25 * KWH, None))], world)

    assert [on_board(world, number) for number in range(3)] == [10 * KWH, 0, 10 * KWH]
    assert (world.said("energy_wh"), world.said("refused_wh")) == (20 * KWH, 5 * KWH)
    assert account(world.rows, address(ALICE)).available_wh == 20 * KWH


def test_consumption_takes_from_tokens_in_order_and_counts_what_none_covers() -> None:
    world = after([(ALICE, BuyEmpty(2)), (METER, Recharge(15 * KWH, None))])

    after([(METER, Consume(12 * KWH, None))], world)
    assert [on_board(world, number) for number in range(2)] == [0, 3 * KWH]
    after([(METER, Consume(4 * KWH, None))], world)

    assert (world.said("energy_wh"), world.said("uncovered_wh")) == (3 * KWH, 1 * KWH)
    assert account(world.rows, address(ALICE)) == Account(0, None, 1 * KWH)


def test_nothing_is_taken_from_a_token_on_sale() -> None:
    world = after(
        [(ALICE, BuyEmpty(1)), (METER, Recharge(5 * KWH, None)), (ALICE, SetOnSale(0, 0, 0))]
    )

    after([(METER, Consume(5 * KWH, None))], world)

    assert on_board(world, 0) == 5 * KWH
    assert world.said("uncovered_wh") == 5 * KWH
    after([(ALICE, WithdrawSale(0))], world)
    assert account(world.rows, address(ALICE)).available_wh == 5 * KWH


def test_who_is_approved_may_transfer_once() -> None:
    world = after([(ALICE, BuyEmpty(1)), (ALICE, Approve(0, address(BOB)))])

    after([(BOB, Transfer(0, address(OPERATOR)))], world)

    assert tokens_of(world.rows, address(OPERATOR)) == [0]
    assert tokens_of(world.rows, address(ALICE)) == []
    assert world.call(BOB, Transfer(0, address(BOB))) is Reason.NOT_YOURS


def test_an_approval_may_be_taken_back() -> None:
    world = after([(ALICE, BuyEmpty(1)), (ALICE, Approve(0, address(BOB)))])

    after([(ALICE, Approve(0, None))], world)

    assert world.call(BOB, Transfer(0, address(BOB))) is Reason.NOT_YOURS


def test_a_sale_ends_an_approval() -> None:
    world = after(
        [
            (ALICE, BuyEmpty(1)),
            (ALICE, Approve(0, address(OPERATOR))),
            (ALICE, SetOnSale(0, 0, 0)),
            (BOB, Buy(0, 0)),
        ]
    )

    assert world.call(OPERATOR, Transfer(0, address(OPERATOR))) is Reason.NOT_YOURS


def test_admin_and_operator_may_change_what_is_theirs() -> None:
    world = after(
        [
            (ADMIN, SetMaxTokenSupply(1)),
            (OPERATOR, SetTokenCapacity(3 * KWH, None)),
            (ADMIN, BuyEmpty(1)),
            (OPERATOR, SetTokenCapacity(5 * KWH, 0)),
            (ADMIN, UpdateAdmin(address(BOB))),
        ]
    )

    made = collection(world.rows)
    assert made is not None
    assert (made.admin, made.max_tokens, made.capacity_wh, made.made) == (
        address(BOB),
        1,
        3 * KWH,
        1,
    )
    assert token(world.rows, 0) == CttToken(address(ADMIN), 5 * KWH, 0, None, None)
    assert world.eeuro(ADMIN) == COINS_UEUR


def test_a_meter_changes_hands_and_its_report_numbers_go_on() -> None:
    world = after(
        [
            (ALICE, BuyEmpty(1)),
            (METER, Recharge(1 * KWH, 7)),
            (BOB, Register(address(METER))),
            (OPERATOR, Confirm(address(METER), address(BOB))),
        ]
    )

    assert world.call(METER, Consume(1, 7)) is Reason.DUPLICATE_REPORT
    assert world.call(METER, Consume(1, 8)) is None
    assert account(world.rows, address(ALICE)).available_wh == 1 * KWH


def test_a_signed_interruption_stands_beside_what_is_available() -> None:
    world = after([(ALICE, SignInterruption(500))])

    value = world.rows.get(account_key(address(ALICE)))

    assert decode_account(value) == Account(0, 500, 0)
    after([(ALICE, SignInterruption(None))], world)
    assert world.rows.get(account_key(address(ALICE))) is None
    assert decode_account(None) == Account()


def test_every_row_of_the_contract_can_be_read_by_people() -> None:
    world = after(
        [(ALICE, BuyEmpty(1)), (ALICE, SignInterruption(0)), (BOB, Register(address(METER)))]
    )

    read = {
        key.split(b"/")[1] for key, value in world.rows.scan(b"ctt/") if decode_ctt_row(key, value)
    }

    assert read == {b"collection", b"token", b"account", b"meter", b"claim"}
    assert decode_ctt_row(b"balance/", b"") is None


CREATE = Create(address(ADMIN), address(OPERATOR), 10, 1, 0)
BOUGHT: Step = (ALICE, BuyEmpty(1))
OFFERED: Step = (ALICE, SetOnSale(0, 1 * EUR, 0))
STRANGER = meter_key(1)


@pytest.mark.parametrize(
    ("steps", "issuer", "call", "reason"),
    [
        pytest.param([], VOTER, CREATE, Reason.NOT_ALLOWED, id="a second collection"),
        pytest.param([], BOB, SetMaxTokenSupply(3), Reason.NOT_ALLOWED, id="supply, no admin"),
        pytest.param([], OPERATOR, UpdateAdmin(address(BOB)), Reason.NOT_ALLOWED, id="no admin"),
        pytest.param(
            [BOUGHT], ADMIN, SetMaxTokenSupply(0), Reason.SUPPLY_CAP, id="fewer than there are"
        ),
        pytest.param(
            [], ADMIN, SetTokenCapacity(1, None), Reason.NOT_ALLOWED, id="capacity, no operator"
        ),
        pytest.param([], OPERATOR, SetTokenCapacity(1, 0), Reason.OUT_OF_RANGE, id="no token 0"),
        pytest.param(
            [BOUGHT, (METER, Recharge(2, None))],
            OPERATOR,
            SetTokenCapacity(1, 0),
            Reason.CAPACITY,
            id="capacity below what is on board",
        ),
        pytest.param([], BOB, Register(address(CARLA)), Reason.UNKNOWN_MEMBER, id="meter unknown"),
        pytest.param([], BOB, Register(address(ALICE)), Reason.UNKNOWN_MEMBER, id="no meter"),
        pytest.param(
            [],
            ALICE,
            Confirm(address(METER), address(ALICE)),
            Reason.NOT_ALLOWED,
            id="confirmed by its prosumer",
        ),
        pytest.param(
            [],
            OPERATOR,
            Confirm(address(METER), address(BOB)),
            Reason.NOT_CONFIRMED,
            id="nobody registered it",
        ),
        pytest.param(
            [(ADMIN, SetMaxTokenSupply(2))], ALICE, BuyEmpty(3), Reason.SUPPLY_CAP, id="too many"
        ),
        pytest.param([], CARLA, BuyEmpty(1), Reason.INSUFFICIENT_EEURO, id="too poor for one"),
        pytest.param([BOUGHT], BOB, SetOnSale(0, 0, 0), Reason.NOT_YOURS, id="sell another's"),
        pytest.param([], BOB, SetOnSale(0, 0, 0), Reason.NOT_YOURS, id="sell nothing"),
        pytest.param(
            [BOUGHT, OFFERED], ALICE, SetOnSale(0, 0, 0), Reason.ON_SALE, id="offered twice"
        ),
        pytest.param([BOUGHT], BOB, WithdrawSale(0), Reason.NOT_YOURS, id="withdraw another's"),
        pytest.param([BOUGHT], ALICE, WithdrawSale(0), Reason.NOT_ON_SALE, id="withdraw nothing"),
        pytest.param([BOUGHT], BOB, Buy(0, EUR), Reason.NOT_ON_SALE, id="not on sale"),
        pytest.param([], BOB, Buy(3, EUR), Reason.NOT_ON_SALE, id="no token 3"),
        pytest.param([BOUGHT, OFFERED], ALICE, Buy(0, EUR), Reason.SELF, id="own token"),
        pytest.param(
            [BOUGHT, OFFERED], BOB, Buy(0, EUR - 1), Reason.PRICE_MOVED, id="above the maximum"
        ),
        pytest.param(
            [BOUGHT, OFFERED], CARLA, Buy(0, EUR), Reason.INSUFFICIENT_EEURO, id="too poor"
        ),
        pytest.param(
            [BOUGHT, OFFERED, (BOB, Buy(0, EUR))],
            OPERATOR,
            Buy(0, EUR),
            Reason.NOT_ON_SALE,
            id="sold twice",
        ),
        pytest.param(
            [BOUGHT], BOB, Transfer(0, address(BOB)), Reason.NOT_YOURS, id="give another's away"
        ),
        pytest.param(
            [BOUGHT, OFFERED], ALICE, Transfer(0, address(BOB)), Reason.ON_SALE, id="on sale"
        ),
        pytest.param([BOUGHT], ALICE, Transfer(0, address(ALICE)), Reason.SELF, id="to oneself"),
        pytest.param([BOUGHT], BOB, Approve(0, None), Reason.NOT_YOURS, id="approve another's"),
        pytest.param([BOUGHT], ALICE, Approve(0, address(ALICE)), Reason.SELF, id="approve self"),
        pytest.param([BOUGHT], STRANGER, Recharge(1, None), Reason.NOT_CONFIRMED, id="no meter"),
        pytest.param([BOUGHT], ALICE, Consume(1, None), Reason.NOT_CONFIRMED, id="the prosumer"),
        pytest.param([BOUGHT], METER, Recharge(0, None), Reason.TOO_SMALL, id="no energy"),
        pytest.param([BOUGHT], METER, Consume(0, None), Reason.TOO_SMALL, id="no consumption"),
        pytest.param(
            [BOUGHT, (METER, Recharge(1, 4))],
            METER,
            Recharge(1, 4),
            Reason.DUPLICATE_REPORT,
            id="reported already",
        ),
        pytest.param([], METER, Recharge(1, None), Reason.CAPACITY, id="no token to charge"),
        pytest.param(
            [(METER, Consume(MAX_INTEGER, None))],
            METER,
            Consume(1, None),
            Reason.OUT_OF_RANGE,
            id="more uncovered than can be counted",
        ),
    ],
)
def test_a_call_is_refused_and_changes_nothing(
    steps: list[Step], issuer: SigningKey, call: CttCall, reason: Reason
) -> None:
    world = after(steps)

    assert world.call(issuer, call) is reason


@pytest.mark.parametrize("issuer", [ADMIN, METER])
def test_only_a_voter_creates_the_collection(issuer: SigningKey) -> None:
    assert empty_world().call(issuer, CREATE) is Reason.NOT_ALLOWED


def test_without_a_collection_nothing_is_made() -> None:
    assert empty_world().call(ALICE, BuyEmpty(1)) is Reason.SUPPLY_CAP


def test_a_meter_whose_register_names_another_owner_is_not_yours() -> None:
    world = community()
    owned = meter_key(2)
    row = world.rows.get(b"identity/" + address(METER))
    assert row is not None
    world.rows.put({b"identity/" + address(owned): row.replace(bytes(32), address(BOB), 1)})

    assert world.call(ALICE, Register(address(owned))) is Reason.NOT_YOURS
    assert world.call(BOB, Register(address(owned))) is None


@pytest.mark.parametrize("call", [Recharge(1, MAX_INTEGER), Consume(1, MAX_INTEGER)])
def test_the_last_report_number_there_is_never_leaves_a_row_that_no_node_can_read(
    call: Recharge | Consume,
) -> None:
    world = after([(ALICE, BuyEmpty(1))])

    assert world.call(METER, call) is Reason.OUT_OF_RANGE

    after([(METER, Recharge(1, MAX_INTEGER - 1))], world)
    assert world.call(METER, Consume(1, None)) is Reason.OUT_OF_RANGE


def test_a_price_beyond_every_amount_is_no_price() -> None:
    world = after([(ALICE, BuyEmpty(1)), (METER, Recharge(6 * KWH, None))])

    assert world.call(ALICE, SetOnSale(0, 0, MAX_INTEGER)) is Reason.OUT_OF_RANGE
    assert world.call(ALICE, SetOnSale(0, MAX_INTEGER, 1)) is Reason.OUT_OF_RANGE
    assert world.call(ALICE, SetOnSale(0, MAX_INTEGER, 0)) is None
    assert world.said("price_ueur") == MAX_INTEGER


def test_an_admin_reports_no_payment_to_itself_however_dear_its_tokens() -> None:
    world = empty_world()
    create = Create(address(ADMIN), address(OPERATOR), 10, 10 * KWH, MAX_INTEGER)
    after([(VOTER, create), (ADMIN, BuyEmpty(3))], world)

    assert world.said("paid_ueur") == 0


def test_more_energy_than_the_ledger_can_count_is_on_nobodys_tokens() -> None:
    world = after([(ALICE, BuyEmpty(3)), (METER, Recharge(25 * KWH, None))])
    after([(ALICE, Transfer(0, address(BOB))), (ALICE, Transfer(1, address(BOB)))], world)
    after([(ALICE, BuyEmpty(1)), (BOB, SetOnSale(1, 0, 0))], world)
    after([(ALICE, SetOnSale(2, 0, 0))], world)
    full = account_row(Account(available_wh=MAX_INTEGER))
    world.rows.put({account_key(address(ALICE)): full})

    refused = [
        world.call(METER, Recharge(1, None)),
        world.call(ALICE, WithdrawSale(2)),
        world.call(ALICE, Buy(1, 0)),
        world.call(BOB, Transfer(0, address(ALICE))),
    ]

    assert refused == [Reason.OUT_OF_RANGE] * 4


class Counted(Draft):
    """Rows that count how many were asked for."""

    asked = 0

    @override
    def get(self, key: bytes) -> bytes | None:
        self.asked += 1
        return super().get(key)


def test_a_report_does_not_look_at_tokens_that_it_cannot_change() -> None:
    world = after([(ALICE, BuyEmpty(100))] * 5, community(max_tokens=600))
    after([(METER, Recharge(10 * KWH, None)), (METER, Consume(10 * KWH, None))], world)
    after([(ALICE, SetOnSale(number, 0, 0)) for number in range(499)], world)
    after([(METER, Recharge(1 * KWH, None))], world)
    assert on_board(world, 499) == 1 * KWH
    rows = Counted(world.rows)

    meter = Context(METER.public, address(METER), TransactionId(bytes(32)), 1, 1_000, 0)
    decided = apply_ctt(rows, Consume(1 * KWH, None), meter)

    assert isinstance(decided, Changed)
    assert rows.asked < 20


def test_a_smaller_capacity_leaves_no_room_and_a_larger_one_makes_some() -> None:
    world = after([(ALICE, BuyEmpty(1)), (METER, Recharge(2 * KWH, None))])
    after([(OPERATOR, SetTokenCapacity(2 * KWH, 0))], world)
    assert world.call(METER, Recharge(1, None)) is Reason.CAPACITY

    after([(OPERATOR, SetTokenCapacity(3 * KWH, 0)), (METER, Recharge(KWH, None))], world)

    assert on_board(world, 0) == 3 * KWH
