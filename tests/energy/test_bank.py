"""The bank: who makes money, who takes it out, and whose it stays."""

import pytest

from energy.bank import CONTRACT, BankCall, Burn, Lock, Mint, Unlock, decode_row, withdrawal_ueur
from energy.governance.acts import FundBurn, FundMint, SetBanker, SetParameter
from energy.parameters import EnergyParameters
from tangle.codec import encode
from tangle.errors import MalformedBytesError
from tangle.outcomes import Reason
from tests.energy.town import WHO, Town

B, C, D, U1, X = (WHO[name] for name in ("B", "C", "D", "U1", "X"))
EUR = 1_000_000
MOST = 2**63 - 1


def banked() -> Town:
    """Return a town whose banker is C; B has 3 EUR free and 2 EUR on the way out."""
    town = Town()
    town.all("A", SetBanker(C))
    town.all("C", Mint(B, 5 * EUR))
    town.all("B", Lock(2 * EUR))
    return town


def test_money_is_minted_locked_and_paid_out() -> None:
    town = banked()
    town.expect({"B.eeuro": "3 EUR", "B.eeuro_locked": "2 EUR", "total.eeuro": "5 EUR"})

    town.all("C", Burn(B, EUR), Unlock(B, EUR))

    town.expect({"B.eeuro": "4 EUR", "B.eeuro_locked": "0 EUR", "total.eeuro": "4 EUR"})
    assert withdrawal_ueur(town.rows, B) == 0
    assert list(town.rows.scan(b"bank/withdrawal/")) == []


@pytest.mark.parametrize(
    ("by", "call", "reason"),
    [
        ("A", Mint(B, EUR), Reason.NOT_ALLOWED),
        ("B", Mint(B, EUR), Reason.NOT_ALLOWED),
        ("D", Burn(B, EUR), Reason.NOT_ALLOWED),
        ("B", Burn(B, EUR), Reason.NOT_ALLOWED),
        ("B", Unlock(B, EUR), Reason.NOT_ALLOWED),
        ("C", Mint(X, EUR), Reason.UNKNOWN_MEMBER),
        ("C", Mint(U1, EUR), Reason.UNKNOWN_MEMBER),
        ("C", Mint(B, 0), Reason.TOO_SMALL),
        ("C", Mint(B, MOST), Reason.OUT_OF_RANGE),
        ("C", Burn(B, 0), Reason.TOO_SMALL),
        ("C", Burn(B, 2 * EUR + 1), Reason.INSUFFICIENT_EEURO),
        ("C", Burn(D, 1), Reason.INSUFFICIENT_EEURO),
        ("C", Unlock(B, 0), Reason.TOO_SMALL),
        ("C", Unlock(B, 2 * EUR + 1), Reason.INSUFFICIENT_EEURO),
        ("B", Lock(0), Reason.TOO_SMALL),
        ("B", Lock(3 * EUR + 1), Reason.INSUFFICIENT_EEURO),
    ],
)
def test_it_is_refused_and_changes_nothing(by: str, call: BankCall, reason: Reason) -> None:
    town = banked()
    before = dict(town.rows.scan(b""))

    assert town.do(by, call) is reason
    assert dict(town.rows.scan(b"")) == before


def test_without_a_banker_nobody_mints() -> None:
    assert Town().do("A", Mint(B, EUR)) is Reason.NOT_ALLOWED


def test_nobody_locks_money_that_nobody_can_pay_out() -> None:
    town = Town(parameters=EnergyParameters(community_fund=0))
    assert town.do("B", Lock(EUR)) is Reason.NOT_ALLOWED

    town.all("A", SetParameter("community_fund", 1), FundMint(B, 2 * EUR))
    town.all("B", Lock(EUR))

    town.expect({"B.eeuro": "1 EUR", "B.eeuro_locked": "1 EUR"})


def test_without_a_banker_a_member_takes_its_own_withdrawal_back_and_no_other() -> None:
    town = Town()
    town.all("A", FundMint(B, 2 * EUR), FundMint(C, 2 * EUR))
    town.all("B", Lock(2 * EUR))
    town.all("C", Lock(EUR))
    town.all("A", SetParameter("community_fund", 0))

    assert town.do("B", Unlock(C, EUR)) is Reason.NOT_ALLOWED
    assert town.do("B", Unlock(B, 2 * EUR + 1)) is Reason.INSUFFICIENT_EEURO
    town.all("B", Unlock(B, 2 * EUR))

    town.expect({"B.eeuro": "2 EUR", "B.eeuro_locked": "0 EUR", "C.eeuro_locked": "1 EUR"})
    town.all("A", SetBanker(D))
    assert town.do("C", Unlock(C, EUR)) is Reason.NOT_ALLOWED
    town.all("D", Unlock(C, EUR))


def test_the_fund_pays_nothing_out_that_was_taken_back() -> None:
    town = Town()
    town.all("A", FundMint(B, 2 * EUR))
    town.all("B", Lock(2 * EUR), Unlock(B, EUR))

    assert town.do("A", FundBurn(B, 2 * EUR)) is Reason.INSUFFICIENT_EEURO
    town.all("A", FundBurn(B, EUR))

    town.expect({"B.eeuro": "1 EUR", "total.eeuro": "1 EUR"})


@pytest.mark.parametrize("call", [("mint", B), ("lock", -1), ("lend", B, 1), ("lock", 1.0)])
def test_what_is_no_call_is_malformed(call: object) -> None:
    with pytest.raises(MalformedBytesError):
        CONTRACT.decode(encode(call))


def test_rows_are_read_for_people() -> None:
    town = banked()
    rows = dict(town.rows.scan(b"bank/"))

    assert [str(decode_row(key, value)).split("(")[0] for key, value in rows.items()] == [
        "Banker",
        "Withdrawal",
    ]
    assert decode_row(b"network", b"") is None
