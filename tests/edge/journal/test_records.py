import pytest

from edge.journal.records import decode_halted, decode_outcome, encode_halted, encode_outcome
from tangle.effects import Halted
from tangle.errors import MalformedBytesError
from tangle.outcomes import Applied, Event, Ignored, NoValue, Outcome, Reason
from tangle.transaction import TransactionId

OUTCOMES: list[Outcome] = [
    Applied(),
    Applied(
        (
            Event("transfer.moved", (("to", b"\x01\xff"), ("amount_ueur", 5), ("note", "é"))),
            Event("x.y", ()),
        )
    ),
    NoValue(),
    *(Ignored(reason) for reason in Reason),
]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=str)
def test_an_outcome_survives_its_spelling(outcome: Outcome) -> None:
    assert decode_outcome(encode_outcome(outcome)) == outcome


def test_two_outcomes_never_share_a_spelling() -> None:
    assert len({encode_outcome(outcome) for outcome in OUTCOMES}) == len(OUTCOMES)


def test_evidence_survives_its_spelling() -> None:
    halted = Halted(7, TransactionId(bytes(32)), "state root: claimed 00, computed 01", (b"a", b""))

    assert decode_halted(encode_halted(halted)) == halted


@pytest.mark.parametrize(
    "data", [b"", b"\x91\x91\xa4gone", b"\x90", encode_outcome(NoValue())[:-1]]
)
def test_what_is_no_outcome_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedBytesError, match="stored outcome"):
        decode_outcome(data)
