"""The transfer contract: a table of its refusals, and what it moves."""

import pytest

from energy.transfer import CONTRACT, Transfer, TransferEeuro, TransferEnt, apply_transfer
from tangle.accounts import Token, balance, balance_key, balance_row
from tangle.address import Address, address_of
from tangle.codec import encode
from tangle.contracts import Changed, Context
from tangle.errors import MalformedBytesError
from tangle.outcomes import Event, Reason
from tangle.rows import Draft, Rows
from tangle.transaction import MAX_INTEGER, TransactionId
from tests.community import member_key

ALICE, BOB = (address_of(member_key(number).public) for number in range(2))
CONTEXT = Context(member_key(0).public, ALICE, TransactionId(bytes(32)), 1, 1_000)


def held(ent: int, eeuro: int) -> Rows:
    rows = {
        balance_key(Token.ENT, ALICE): balance_row(ent),
        balance_key(Token.EEURO, ALICE): balance_row(eeuro),
    }
    return Rows({key: value for key, value in rows.items() if value is not None})


@pytest.mark.parametrize(
    ("call", "token"),
    [(TransferEnt(BOB, 7), Token.ENT), (TransferEeuro(BOB, 7), Token.EEURO)],
)
def test_tokens_move_from_the_issuer_to_the_payee(call: Transfer, token: Token) -> None:
    rows = held(10, 10)

    changed = apply_transfer(rows, call, CONTEXT)

    assert isinstance(changed, Changed)
    after = Draft(rows)
    after.put(changed.changes)
    other = Token.EEURO if token is Token.ENT else Token.ENT
    assert balance(after, token, ALICE) == 3
    assert balance(after, token, BOB) == 7
    assert balance(after, other, ALICE) == 10
    unit = "amount_uent" if token is Token.ENT else "amount_ueur"
    assert changed.events == (Event("transfer.moved", (("from", ALICE), ("to", BOB), (unit, 7))),)


def test_the_whole_balance_may_be_spent_and_leaves_no_row() -> None:
    changed = apply_transfer(held(10, 0), TransferEnt(BOB, 10), CONTEXT)

    assert isinstance(changed, Changed)
    assert changed.changes[balance_key(Token.ENT, ALICE)] is None


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        pytest.param(TransferEnt(BOB, 11), Reason.INSUFFICIENT_ENT, id="too little ENT"),
        pytest.param(TransferEeuro(BOB, 6), Reason.INSUFFICIENT_EEURO, id="too little eEuro"),
        pytest.param(TransferEeuro(BOB, MAX_INTEGER), Reason.INSUFFICIENT_EEURO, id="everything"),
        pytest.param(TransferEnt(BOB, 0), Reason.TOO_SMALL, id="nothing"),
        pytest.param(TransferEnt(ALICE, 1), Reason.SELF, id="to oneself"),
    ],
)
def test_a_transfer_is_refused(call: Transfer, reason: Reason) -> None:
    assert apply_transfer(held(10, 5), call, CONTEXT) is reason


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(TransferEnt(Address(b"short"), 1), id="address too short"),
        pytest.param(TransferEnt(BOB, -1), id="negative"),
        pytest.param(TransferEnt(BOB, MAX_INTEGER + 1), id="above the range"),
        pytest.param(["burn", BOB, 1], id="unknown tag"),
        pytest.param(["ent", BOB, 1, 0], id="one field too many"),
        pytest.param(["ent", BOB], id="one field too few"),
        pytest.param(["ent", BOB, 1.0], id="a float"),
    ],
)
def test_a_call_that_is_none_is_malformed(call: object) -> None:
    with pytest.raises(MalformedBytesError):
        CONTRACT.decode(encode(call))
