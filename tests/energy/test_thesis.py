"""The golden scenario: chapter 6 of the PowerChain thesis, number by number (ENERGY §4)."""

from energy.bank import Mint
from energy.governance.acts import AddVoter, RegisterUnit, RemoveVoter, SetBanker
from energy.powerchain.calls import Consumed, EnergyCall, OpenSession, Produced
from energy.transfer import TransferEnt
from tests.energy.town import WHO, Town, wh


def founded() -> Town:
    """Return the town after its votes: A and B vote, C owns both batteries."""
    town = Town()
    town.all("A", AddVoter(WHO["B"]))
    town.all("B", AddVoter(WHO["C"]))
    town.expect({"voters": ["A", "B"]})
    town.all("A", AddVoter(WHO["C"]))
    town.expect({"voters": ["A", "B", "C"]})
    town.all("A", RemoveVoter(WHO["C"]))
    town.all("B", RemoveVoter(WHO["C"]))
    town.expect({"voters": ["A", "B"]})
    for name in ("U1", "U2"):
        unit = RegisterUnit(WHO[name], WHO["C"], wh("100 kWh"))
        town.all("A", unit)
        town.all("B", unit)
        town.expect({f"{name}.owner": "C"})
    return town


A, B, C, U1, U2 = (WHO[name] for name in ("A", "B", "C", "U1", "U2"))

CHAPTER_SIX: tuple[tuple[str, EnergyCall | TransferEnt | Mint | SetBanker, str], ...] = (
    (
        "U1",
        Produced(A, 10_000),
        "total.ent 10 ENT, total.energy 10 kWh, rate 0, gap 0 ENT, A.ent 8 ENT, B.ent 0 ENT,"
        " C.ent 2 ENT, U1.free 10 kWh, U2.free 0 kWh",
    ),
    (
        "C",
        OpenSession(U1, 2_000_000),
        "total.ent 10 ENT, C.ent 0 ENT, C.ent_locked 2 ENT, U1.free 8 kWh, U1.energy 10 kWh",
    ),
    (
        "U1",
        Consumed(C, 1_000),
        "total.ent 9 ENT, total.energy 9 kWh, rate 0, C.ent 0 ENT, C.ent_locked 1 ENT,"
        " C.session.U1 1 ENT, U1.free 8 kWh",
    ),
    (
        "U1",
        Consumed(C, 2_000),
        "total.ent 8 ENT, total.energy 7 kWh, rate 0.05, gap 1 ENT, A.ent 8 ENT, C.ent 0 ENT,"
        " C.ent_locked 0 ENT, C.session.U1 none, U1.free 7 kWh",
    ),
    (
        "U2",
        Produced(B, 10_000),
        "total.ent 17.5 ENT, total.energy 17 kWh, rate 0.05, gap 0.5 ENT, A.ent 8 ENT,"
        " B.ent 7.6 ENT, C.ent 1.9 ENT, U1.free 7 kWh, U2.free 10 kWh",
    ),
    ("B", TransferEnt(A, 7_600_000), "A.ent 15.6 ENT, B.ent 0 ENT"),
    ("A", OpenSession(U1, 7_350_000), "A.ent 8.25 ENT, U1.free 0 kWh, U2.free 10 kWh"),
    (
        "A",
        OpenSession(U2, 8_250_000),
        "total.ent 17.5 ENT, total.energy 17 kWh, A.ent 0 ENT, A.ent_locked 15.6 ENT,"
        " U1.free 0 kWh, U2.free 2.143 kWh",
    ),
    (
        "U1",
        Consumed(A, 7_000),
        "total.ent 10.15 ENT, total.energy 10 kWh, rate 0.05, A.ent_locked 8.25 ENT,"
        " A.session.U1 none, U1.energy 0 kWh, U2.free 2.143 kWh",
    ),
    (
        "U2",
        Consumed(A, 7_857),
        "total.ent 2.143 ENT, total.energy 2.143 kWh, rate 0, gap 0 ENT, A.ent 0.243 ENT,"
        " A.ent_locked 0 ENT, B.ent 0 ENT, C.ent 1.9 ENT, U1.free 0 kWh, U2.free 2.143 kWh",
    ),
    ("A", SetBanker(C), "banker none"),
    ("B", SetBanker(C), "banker C"),
    (
        "C",
        Mint(A, 10_000_000),
        "A.eeuro 10 EUR, A.eeuro_locked 0 EUR, total.eeuro 10 EUR, total.ent 2.143 ENT",
    ),
)
"""Who does what, and what the ledger says afterwards."""


def test_chapter_six_comes_out_exactly() -> None:
    town = founded()

    for by, call, expected in CHAPTER_SIX:
        town.all(by, call)

        pairs = [one.split(" ", 1) for one in expected.split(", ")]
        town.expect(dict(pairs))
