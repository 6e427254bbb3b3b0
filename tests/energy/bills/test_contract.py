"""Each rule of the contract with the call that breaks only it."""

from collections.abc import Mapping

import msgspec
import pytest

from energy.bank import Mint
from energy.bills.contract import (
    CONTRACT,
    BillCall,
    Credit,
    Issue,
    Pay,
    Refund,
    SetTariff,
    bill_operation,
)
from energy.bills.rows import (
    IssuedBill,
    decode_row,
    issued_bill,
    issued_bills,
    issuers,
    last_number,
    tariffs_of,
)
from energy.governance.acts import SetBanker
from energy.units import DAY_MS
from tangle.contracts import Changed
from tangle.errors import MalformedBytesError
from tangle.outcomes import Reason
from tangle.transaction import MAX_INTEGER
from tests.community import START_MS
from tests.energy.bills.billing import SLIDE
from tests.energy.town import WHO, Town

ONE, TWO, THREE = (bytes([at]) * 32 for at in (1, 2, 3))
OPERATOR, CUSTOMER = WHO["B"], WHO["C"]
TODAY = START_MS // DAY_MS


class Office(Town):
    """A town in which B issues bills and C has money."""

    def __init__(self) -> None:
        super().__init__()
        assert self.do("A", SetBanker(WHO["A"])) is None
        assert self.do("A", Mint(CUSTOMER, 100_000_000)) is None

    def bill(self, by: str, call: BillCall) -> Reason | None:
        decoded = CONTRACT.decode(bill_operation(call).call)
        decided = CONTRACT.apply(self.rows, decoded, self.context(by))
        if isinstance(decided, Changed):
            self.events = decided.events
            self.rows.apply(decided.changes)
            return None
        return decided


@pytest.fixture
def office() -> Office:
    return Office()


def test_documents_are_numbered_one_after_the_other(office: Office) -> None:
    assert office.bill("B", Issue(1, (ONE, TWO))) is None
    assert office.bill("B", Issue(3, (THREE,))) is None

    assert [(number, one.digest) for number, one in issued_bills(office.rows, OPERATOR)] == [
        (1, ONE),
        (2, TWO),
        (3, THREE),
    ]
    assert issuers(office.rows) == [(OPERATOR, 3)]


@pytest.mark.parametrize("number", [1, 3])
def test_a_number_that_is_used_or_leaves_one_out_is_refused(office: Office, number: int) -> None:
    office.bill("B", Issue(1, (ONE,)))

    assert office.bill("B", Issue(number, (TWO,))) == Reason.BILL_NUMBER
    assert office.bill("B", Credit(number, TWO, credits=1)) == Reason.BILL_NUMBER
    assert last_number(office.rows, OPERATOR) == 1


def test_issuers_count_for_themselves(office: Office) -> None:
    office.bill("B", Issue(1, (ONE,)))

    assert office.bill("D", Issue(1, (TWO,))) is None


@pytest.mark.parametrize("by", ["U1", "X"])
def test_devices_and_strangers_issue_nothing(office: Office, by: str) -> None:
    for call in (Issue(1, (ONE,)), Credit(1, ONE, 1), SetTariff(SLIDE)):
        assert office.bill(by, call) == Reason.NOT_ALLOWED


def test_a_bill_is_taken_back_once_by_a_document_of_its_own(office: Office) -> None:
    office.bill("B", Issue(1, (ONE,)))

    assert office.bill("B", Credit(2, TWO, credits=1)) is None
    assert office.bill("B", Credit(3, THREE, credits=1)) == Reason.UNKNOWN_BILL

    assert issued_bill(office.rows, OPERATOR, 1) == IssuedBill(ONE, credited_by=2)
    assert issued_bill(office.rows, OPERATOR, 2) == IssuedBill(TWO, credits=1)


def test_a_credit_note_is_not_taken_back(office: Office) -> None:
    office.bill("B", Issue(1, (ONE,)))
    office.bill("B", Credit(2, TWO, credits=1))

    assert office.bill("B", Credit(3, THREE, credits=2)) == Reason.UNKNOWN_BILL


def test_nobody_takes_back_what_is_not_there_or_anothers(office: Office) -> None:
    office.bill("B", Issue(1, (ONE,)))

    assert office.bill("B", Credit(2, TWO, credits=2)) == Reason.UNKNOWN_BILL
    assert office.bill("D", Credit(1, TWO, credits=1)) == Reason.UNKNOWN_BILL


def test_what_is_paid_moves_and_is_counted(office: Office) -> None:
    office.bill("B", Issue(1, (ONE,)))

    assert office.bill("C", Pay(OPERATOR, 1, 30_000_000)) is None
    assert office.bill("C", Pay(OPERATOR, 1, 750_000)) is None
    assert office.bill("B", Refund(1, CUSTOMER, 250_000)) is None

    issued = issued_bill(office.rows, OPERATOR, 1)
    assert issued is not None
    assert (issued.paid_ueur, issued.refunded_ueur) == (30_750_000, 250_000)
    office.expect({"B.eeuro": "30.5 EUR", "C.eeuro": "69.5 EUR"})


@pytest.mark.parametrize(
    ("by", "call", "reason"),
    [
        ("C", Pay(OPERATOR, 1, 0), Reason.TOO_SMALL),
        ("B", Pay(OPERATOR, 1, 1), Reason.SELF),
        ("C", Pay(OPERATOR, 2, 1), Reason.UNKNOWN_BILL),
        ("C", Pay(CUSTOMER, 1, 1), Reason.SELF),
        ("C", Pay(OPERATOR, 1, 100_000_001), Reason.INSUFFICIENT_EEURO),
        ("B", Refund(1, OPERATOR, 1), Reason.SELF),
        ("B", Refund(1, CUSTOMER, 0), Reason.TOO_SMALL),
        ("B", Refund(2, CUSTOMER, 1), Reason.UNKNOWN_BILL),
        ("C", Refund(1, OPERATOR, 1), Reason.UNKNOWN_BILL),
        ("B", Refund(1, CUSTOMER, 1), Reason.INSUFFICIENT_EEURO),
    ],
)
def test_a_payment_that_breaks_a_rule_is_refused(
    office: Office, by: str, call: BillCall, reason: Reason
) -> None:
    office.bill("B", Issue(1, (ONE,)))

    assert office.bill(by, call) == reason


def test_no_more_is_counted_for_a_document_than_an_integer_holds(office: Office) -> None:
    office.bill("B", Issue(1, (ONE,)))
    almost = msgspec.msgpack.encode(IssuedBill(ONE, paid_ueur=MAX_INTEGER))
    (key,) = (key for key, _ in office.rows.scan(b"bill/document/"))
    office.rows.apply({key: almost})

    assert office.bill("C", Pay(OPERATOR, 1, 1)) == Reason.OUT_OF_RANGE


def test_tariffs_are_agreed_before_their_days(office: Office) -> None:
    tomorrow = msgspec.structs.replace(SLIDE, from_day=TODAY + 1)
    long_ago = msgspec.structs.replace(SLIDE, from_day=1)

    assert office.bill("B", SetTariff(long_ago)) is None
    assert office.bill("B", SetTariff(tomorrow)) is None

    assert tariffs_of(office.rows, OPERATOR) == [long_ago, tomorrow]
    assert tariffs_of(office.rows, CUSTOMER) == []


@pytest.mark.parametrize("first", [1, TODAY + 5])
def test_prices_of_days_that_are_over_or_agreed_on_stay(office: Office, first: int) -> None:
    office.bill("B", SetTariff(msgspec.structs.replace(SLIDE, from_day=first)))

    for day in (first, TODAY - 1):
        late = msgspec.structs.replace(SLIDE, from_day=day)
        assert office.bill("B", SetTariff(late)) == Reason.OUT_OF_RANGE


def test_rows_are_read_by_their_keys(office: Office) -> None:
    office.bill("B", Issue(1, (ONE,)))
    office.bill("B", SetTariff(SLIDE))

    rows: Mapping[bytes, bytes] = dict(office.rows.scan(b"bill/"))
    found = {type(decode_row(key, value)).__name__ for key, value in rows.items()}

    assert found == {"LastNumber", "IssuedBill", "Tariff", "LastTariff"}
    assert decode_row(b"balance/x", b"") is None
    for key in rows:
        with pytest.raises(MalformedBytesError):
            decode_row(key, b"\x00")
