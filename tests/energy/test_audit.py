"""Everything adds up; and whatever is planted is noticed, by name and with both sides."""

from collections.abc import Callable, Sequence

import msgspec
import pytest

from energy.audit import (
    Equation,
    Verdict,
    audit_bills,
    audit_flows,
    audit_home,
    audit_rows,
    unknown_flows,
)
from energy.bank import Burn, Lock, Mint, Withdrawal
from energy.bills.contract import Credit, Issue, Pay, Refund
from energy.bills.documents import Bill, bill_digest, credit_note
from energy.bills.sums import DaySum
from energy.ctt.rows import (
    ACCOUNT_PREFIX,
    COLLECTION_KEY,
    Account,
    Collection,
    CttToken,
    Sale,
    token_key,
)
from energy.governance.acts import RegisterUnit, RemoveUnit
from energy.market.book import BUY_PREFIX, SELL_PREFIX, Order
from energy.market.contract import Buy, Sell, market_operation
from energy.powerchain.calls import Actual, Consumed, OpenSession, Produced
from energy.powerchain.records import SESSION_PREFIX, UNIT_PREFIX, Sessions, StorageUnit
from tangle.accounts import Balance, Token, balance_key, locked_key, total_key
from tangle.codec import encode
from tangle.contracts import Changed
from tangle.outcomes import Event
from tangle.rows import Rows
from tests.community import CONTRACTS
from tests.energy.bills.billing import SALT, slide_bill
from tests.energy.bills.test_contract import Office
from tests.energy.town import WHO

B, C, U1 = WHO["B"], WHO["C"], WHO["U1"]
replace = msgspec.structs.replace


class Busy(Office):
    """A town in which everything there is an equation of happened."""

    def __init__(self) -> None:
        super().__init__()
        self.before = Rows(dict(self.rows.scan(b"")))
        self.seen: list[Event] = []
        for by, call in (
            ("A", RegisterUnit(U1, B, 100_000, 900_000)),
            ("U1", Produced(C, 20_001)),
            ("C", OpenSession(U1, 5_000_000)),
            ("U1", Consumed(C, 6_000)),
            ("U1", Consumed(B, 90_000)),
            ("U1", Produced(C, 30_000)),
            ("C", OpenSession(U1, 7_000_000)),
            ("U1", Actual(20_000)),
            ("A", Mint(B, 9_000_000)),
            ("B", Lock(4_000_000)),
            ("A", Burn(B, 1_000_000)),
        ):
            assert self.do(by, call) is None, call
            self.seen += self.events
        self.trade("C", Sell(1_000_000, 900_000, 0))
        self.trade("B", Buy(2_000_000, 300_000, 0))

    def trade(self, by: str, call: Sell | Buy) -> None:
        decided = CONTRACTS["market"].apply(
            self.rows,
            CONTRACTS["market"].decode(market_operation(call).call),
            self.context(by),
        )
        assert isinstance(decided, Changed), decided
        self.rows.apply(decided.changes)

    def pay(self, by: str, call: Issue | Credit | Pay | Refund) -> None:
        assert self.bill(by, call) is None
        self.seen += self.events

    def with_accounts(self) -> None:
        """Put a collection of two tokens there, one of them on sale."""
        on_board = CttToken(C, 10_000, 6_000, None, None)
        self.rows.apply(
            {
                COLLECTION_KEY: encode(Collection(B, B, 10, 10_000, 1, 2)),
                token_key(0): encode(on_board),
                token_key(1): encode(replace(on_board, sale=Sale(1, 1))),
                ACCOUNT_PREFIX + C: encode(Account(6_000)),
            }
        )


@pytest.fixture
def town() -> Busy:
    return Busy()


def broken(found: Sequence[Equation]) -> set[str]:
    return {one.name for one in found if one.verdict is Verdict.BROKEN}


def named(found: Sequence[Equation]) -> set[str]:
    return {one.name for one in found}


def test_a_busy_town_adds_up(town: Busy) -> None:
    town.with_accounts()
    town.pay("B", Issue(1, (bytes(32),)))

    found = audit_rows(town.rows)

    assert {one.verdict for one in found} == {Verdict.HOLDS}
    assert named(found) == {
        "ent.total",
        "eeuro.total",
        "ent.locked",
        "eeuro.locked",
        "energy.total",
        "unit.sessions",
        "ctt.tokens",
        "ctt.available",
        "bill.numbers",
    }
    assert all(one.left for one in found), "an equation of nothing shows nothing"


def test_an_empty_ledger_adds_up() -> None:
    assert {one.verdict for one in audit_rows(Rows({}))} == {Verdict.HOLDS}


def _session(town: Busy) -> dict[bytes, bytes | None]:
    ((key, value),) = town.rows.scan(SESSION_PREFIX)
    (session,) = msgspec.msgpack.decode(value, type=Sessions).held
    return {key: encode(Sessions((replace(session, amount_uent=session.amount_uent - 1),)))}


def _session_energy(town: Busy) -> dict[bytes, bytes | None]:
    ((key, value),) = town.rows.scan(SESSION_PREFIX)
    (session,) = msgspec.msgpack.decode(value, type=Sessions).held
    return {key: encode(Sessions((replace(session, energy_wh=session.energy_wh + 1),)))}


def _unit(town: Busy) -> dict[bytes, bytes | None]:
    unit = msgspec.msgpack.decode(town.rows.get(UNIT_PREFIX + U1) or b"", type=StorageUnit)
    more = replace(unit, stored_wh=unit.stored_wh + 1, free_wh=unit.free_wh + 1)
    return {UNIT_PREFIX + U1: encode(more)}


def _order(prefix: bytes) -> Callable[[Busy], dict[bytes, bytes | None]]:
    def change(town: Busy) -> dict[bytes, bytes | None]:
        ((key, value),) = town.rows.scan(prefix)
        order = msgspec.msgpack.decode(value, type=Order)
        return {key: encode(replace(order, left_uent=order.left_uent + 1_000))}

    return change


def _put(key: bytes, value: msgspec.Struct | None) -> Callable[[Busy], dict[bytes, bytes | None]]:
    return lambda _: {key: None if value is None else encode(value)}


@pytest.mark.parametrize(
    ("plant", "names"),
    [
        (_put(total_key(Token.ENT), Balance(1)), {"ent.total"}),
        (_put(total_key(Token.EEURO), Balance(1)), {"eeuro.total"}),
        (_put(total_key("energy"), Balance(1)), {"energy.total"}),
        (_put(balance_key(Token.ENT, C), None), {"ent.total"}),
        (_put(locked_key(Token.EEURO, B), Balance(1)), {"eeuro.total", "eeuro.locked"}),
        (_put(b"bank/withdrawal/" + B, Withdrawal(1)), {"eeuro.locked"}),
        (_put(token_key(1), None), {"ctt.tokens"}),
        (_put(token_key(0), CttToken(C, 10_000, 5_999, None, None)), {"ctt.available"}),
        (_put(ACCOUNT_PREFIX + C, None), {"ctt.available"}),
        (_session, {"ent.locked"}),
        (_session_energy, {"unit.sessions"}),
        (_unit, {"energy.total"}),
        (_order(SELL_PREFIX), {"ent.locked"}),
        (_order(BUY_PREFIX), {"eeuro.locked"}),
    ],
)
def test_a_planted_row_is_noticed(
    town: Busy, plant: Callable[[Busy], dict[bytes, bytes | None]], names: set[str]
) -> None:
    town.with_accounts()

    town.rows.apply(plant(town))

    assert broken(audit_rows(town.rows)) == names


def test_two_locks_that_are_wrong_and_add_up_are_noticed(town: Busy) -> None:
    held = {one: town.rows.get(locked_key(Token.ENT, WHO[one])) for one in "BC"}
    assert held["B"] is None
    town.rows.apply({locked_key(Token.ENT, B): held["C"], locked_key(Token.ENT, C): None})

    found = audit_rows(town.rows)

    assert broken(found) == {"ent.locked"}
    assert len([one for one in found if one.verdict is Verdict.BROKEN]) == 2


def test_a_document_that_is_gone_from_the_rows_is_noticed(town: Busy) -> None:
    town.pay("B", Issue(1, (bytes(32), bytes(32))))
    ((key, _), _) = town.rows.scan(b"bill/document/")
    town.rows.apply({key: None})

    assert broken(audit_rows(town.rows)) == {"bill.numbers"}


def test_what_was_reported_explains_what_is_there(town: Busy) -> None:
    found = audit_flows(town.before, town.rows, town.seen)

    assert [(one.name, one.verdict) for one in found] == [
        ("ent.flow", Verdict.HOLDS),
        ("eeuro.flow", Verdict.HOLDS),
        ("unit.flow", Verdict.HOLDS),
    ]
    assert found[2].left == 20_000


def test_every_report_counts(town: Busy) -> None:
    counted = [
        event
        for event in town.seen
        if event.name.startswith(("energy.", "bank."))
        and event.name.rpartition(".")[2]
        in ("produced", "consumed", "remark", "actual", "drawn", "minted", "burned")
    ]
    assert {event.name for event in counted} >= {"energy.remark", "energy.actual", "energy.drawn"}

    for event in counted:
        rest = [one for one in town.seen if one is not event]
        assert broken(audit_flows(town.before, town.rows, rest)), event


def test_over_consumption_that_was_paid_is_burned() -> None:
    event = Event("energy.over_consumed", (("unit", U1), ("burned_uent", 5)))
    before, after = (
        Rows({total_key(Token.ENT): encode(Balance(7))}),
        {total_key(Token.ENT): encode(Balance(2))},
    )

    assert broken(audit_flows(before, Rows(after), [event])) == set()


def test_a_unit_that_came_and_went_leaves_nothing(town: Busy) -> None:
    start = Rows(dict(town.rows.scan(b"")))
    u2 = WHO["U2"]
    seen: list[Event] = []
    for by, call in (
        ("A", RegisterUnit(u2, B, 100_000, 500_000)),
        ("U2", Produced(C, 1_001)),
        ("A", RemoveUnit(u2)),
        ("A", RemoveUnit(U1)),
    ):
        assert town.do(by, call) is None
        seen += town.events

    found = audit_flows(start, town.rows, seen)

    assert {one.verdict for one in found} == {Verdict.HOLDS}
    assert len([one for one in found if one.name == "unit.flow"]) == 2


def test_nothing_known_of_a_period_is_not_0() -> None:
    found = unknown_flows("the history has left")

    assert {one.verdict for one in found} == {Verdict.UNKNOWN}
    assert {one.why_unknown for one in found} == {"the history has left"}


def test_a_home_adds_up_or_does_not_or_cannot_be_known() -> None:
    home = DaySum(
        1,
        "storage",
        from_storage_wh=10,
        from_grid_wh=5,
        charged_wh=3,
        feed_in_wh=2,
        produced_wh=20,
        load_wh=30,
    )
    sums = [
        home,
        replace(home, load_wh=29),
        replace(home, load_wh=None),
        replace(home, produced_wh=None),
    ]

    found = audit_home(C, sums)

    assert [one.verdict for one in found] == [
        Verdict.HOLDS,
        Verdict.BROKEN,
        Verdict.UNKNOWN,
        Verdict.UNKNOWN,
    ]
    assert (found[1].left, found[1].right) == (35, 34)
    assert found[2].why_unknown


def test_energy_accounts_are_part_of_a_homes_balance() -> None:
    (one,) = audit_home(C, [DaySum(1, "ctt", from_ctt_wh=7, produced_wh=0, load_wh=7)])

    assert one.verdict is Verdict.HOLDS


def _slide_bill_of_b() -> Bill:
    bill = slide_bill()
    parties = replace(bill.content.parties, issuer=B, customer=C)
    return replace(bill, content=replace(bill.content, parties=parties))


def test_bills_are_what_moved_and_what_is_owed(town: Busy) -> None:
    bill = _slide_bill_of_b()
    note = credit_note(bill, 2, 1, SALT)
    town.pay("B", Issue(1, (bill_digest(bill),)))
    town.pay("C", Pay(B, 1, 30_000_000))
    town.pay("B", Credit(2, bill_digest(note), 1))
    town.pay("B", Refund(2, C, 29_000_000))

    found = audit_bills(town.rows, [bill, note], town.seen)

    assert {one.verdict for one in found} == {Verdict.HOLDS}
    money = next(one for one in found if one.name == "bill.money")
    assert money.left == money.right == 0


def test_money_that_is_counted_and_did_not_move_is_noticed(town: Busy) -> None:
    bill = _slide_bill_of_b()
    town.pay("B", Issue(1, (bill_digest(bill),)))
    town.pay("C", Pay(B, 1, 30_000_000))

    found = audit_bills(town.rows, [bill], town.seen[:-1])

    assert broken(found) == {"bill.paid", "bill.money"}


def test_a_document_that_is_another_is_noticed(town: Busy) -> None:
    bill = _slide_bill_of_b()
    town.pay("B", Issue(1, (bill_digest(bill),)))

    assert broken(audit_bills(town.rows, [replace(bill, salt=bytes(32))], town.seen)) == {
        "bill.digest"
    }
    assert broken(audit_bills(Rows({}), [bill], [])) == {"bill.digest"}


def test_documents_and_payments_that_are_not_here_are_not_0(town: Busy) -> None:
    bill = _slide_bill_of_b()
    town.pay("B", Issue(1, (bill_digest(bill), bytes(32))))

    without_document = audit_bills(town.rows, [bill], town.seen)
    without_history = audit_bills(town.rows, [bill], None)

    assert [one.name for one in without_document if one.verdict is Verdict.UNKNOWN] == [
        "bill.money"
    ]
    assert without_document[-1].why_unknown == "1 documents are not here, first number 2"
    assert [one.name for one in without_history if one.verdict is Verdict.UNKNOWN] == [
        "bill.paid",
        "bill.money",
    ]
