"""Tokens begin, end and are bound in one place, and the totals know."""

import pytest

from energy.locked import (
    MAX_ENERGY_WH,
    Side,
    burn,
    change_energy,
    lock,
    locked,
    mint,
    total,
    total_energy_wh,
    unlock,
)
from tangle.accounts import Token, balance, balance_key, genesis_rows, locked_key
from tangle.address import address_of
from tangle.rows import Draft, Rows
from tangle.transaction import MAX_INTEGER
from tests.community import COINS_UEUR, community, member_key

ALICE, BOB = (address_of(member_key(number).public) for number in range(2))
ENT = Token.ENT


def with_tokens(free: int, bound: int = 0) -> Draft:
    draft = Draft(Rows({}))
    assert mint(draft, ENT, ((ALICE, free + bound),))
    assert lock(draft, ENT, ALICE, bound)
    return draft


def state(draft: Draft) -> tuple[int, int, int]:
    return balance(draft, ENT, ALICE), locked(draft, ENT, ALICE), total(draft, ENT)


def test_genesis_counts_the_money_that_it_gives_out() -> None:
    assert total(Rows(genesis_rows(community(members=3))), Token.EEURO) == 3 * COINS_UEUR
    assert genesis_rows(community(members=0)).keys().isdisjoint({b"total/eeuro"})


def test_minting_locking_and_burning_move_one_amount_and_the_total() -> None:
    draft = with_tokens(10)

    assert lock(draft, ENT, ALICE, 4)
    assert state(draft) == (6, 4, 10)
    burn(draft, ENT, ALICE, 3, Side.LOCKED)
    burn(draft, ENT, ALICE, 2, Side.FREE)
    assert state(draft) == (4, 1, 5)
    unlock(draft, ENT, ALICE, 1)
    assert state(draft) == (5, 0, 5)


def test_nothing_is_taken_that_is_not_there() -> None:
    draft = with_tokens(3, bound=2)
    before = dict(draft.changes)

    assert not lock(draft, ENT, ALICE, 4)
    with pytest.raises(AssertionError):
        burn(draft, ENT, ALICE, 4, Side.FREE)
    with pytest.raises(AssertionError):
        burn(draft, ENT, ALICE, 3, Side.LOCKED)
    with pytest.raises(AssertionError):
        unlock(draft, ENT, ALICE, 3)
    assert draft.changes == before


def test_a_total_stays_within_the_integers_of_the_ledger() -> None:
    draft = with_tokens(MAX_INTEGER)

    assert not mint(draft, ENT, ((BOB, 1),))
    assert total(draft, ENT) == MAX_INTEGER


def test_an_empty_account_is_no_row() -> None:
    draft = with_tokens(0, bound=7)

    unlock(draft, ENT, ALICE, 7)
    burn(draft, ENT, ALICE, 7, Side.FREE)

    assert draft.get(balance_key(ENT, ALICE)) is None
    assert draft.get(locked_key(ENT, ALICE)) is None
    assert draft.changes == {}


def test_energy_has_its_own_total() -> None:
    draft = Draft(Rows({}))

    change_energy(draft, 10_000)
    change_energy(draft, -2_500)

    assert total_energy_wh(draft) == 7_500
    assert not change_energy(draft, MAX_ENERGY_WH)
    assert total_energy_wh(draft) == 7_500
