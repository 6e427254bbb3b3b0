"""Named questions: each key answers in plain units, and what is no key says so."""

import pytest

from energy.bank import Lock, Mint
from energy.governance.acts import SetBanker
from energy.powerchain.calls import Connect, Delegate, OpenSession
from energy.powerchain.records import decode_row
from energy.queries import Answer, Names, ask
from tangle.address import Address, encode_address
from tangle.errors import InvalidError
from tests.energy.town import NAMES, WHO, Town, charged


def town() -> Town:
    made = charged("10 kWh")
    made.all("A", SetBanker(WHO["C"]))
    made.all("C", Mint(WHO["B"], 5_000_000))
    made.all("B", Lock(1_500_000), OpenSession(WHO["U1"], 3_250_000))
    return made


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("total.ent", "10 ENT"),
        ("total.energy", "10 kWh"),
        ("total.eeuro", "5 EUR"),
        ("rate", "0"),
        ("gap", "0 ENT"),
        ("B.ent", "4.75 ENT"),
        ("B.ent_locked", "3.25 ENT"),
        ("B.eeuro", "3.5 EUR"),
        ("B.eeuro_locked", "1.5 EUR"),
        ("U1.energy", "10 kWh"),
        ("U1.free", "6.75 kWh"),
        ("U1.owner", "C"),
        ("B.session.U1", "3.25 ENT"),
        ("C.session.U1", "none"),
        ("voters", ["A"]),
        ("banker", "C"),
        ("parameter.H", "2h"),
    ],
)
def test_a_key_is_answered(key: str, answer: Answer) -> None:
    assert ask(town().rows, key, NAMES) == answer


@pytest.mark.parametrize(
    "key",
    [
        "total.gold",
        "Z.ent",
        "B.ent.now",
        "B.energy",
        "U2.free",
        "B.session",
        "parameter.Q",
        "ctt.0.owner",
        "ctt.9999999999999999999.owner",
        "ctt.18446744073709551616.owner",
        "ctt." + "9" * 5_000 + ".owner",
        "ctt.٣.owner",
        "",
        ".",
        pytest.param(f"ctt.{2**64}.owner", id="number beyond a key"),
        pytest.param(f"ctt.{'9' * 5_000}.owner", id="more digits than Python reads"),
    ],
)
def test_what_is_no_key_is_refused_by_name(key: str) -> None:
    with pytest.raises(InvalidError):
        ask(town().rows, key, NAMES)


def test_who_has_no_name_is_called_by_address() -> None:
    assert ask(town().rows, "voters", Names({})) == [encode_address(Address(WHO["A"]))]
    assert Town().ask("banker") == ["none"]


def test_rows_are_read_for_people() -> None:
    made = town()
    made.all("B", Connect(WHO["U1"], WHO["A"], 5))
    made.all("U1", Delegate(WHO["R1"]))
    made.rows.apply({b"energy/rate": b"\x91\x05"})

    kinds = {type(decode_row(key, value)).__name__ for key, value in made.rows.scan(b"energy/")}

    assert kinds == {"StorageUnit", "Sessions", "Connection", "Rate", "NoneType"}
