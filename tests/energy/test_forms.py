"""Operations as people write them: what no call can hold is refused in words, not by a crash."""

from collections.abc import Mapping

import pytest

from energy.forms.fields import Known
from energy.forms.operations import PARAMETER_FIELDS, SET_PARAMETER, act, fields_of, operation
from energy.governance.acts import SetParameter
from tangle.errors import InvalidError
from tests.energy.town import WHO

KNOWN = Known(WHO, {}, {}, 0)


@pytest.mark.parametrize(
    ("do", "given"),
    [
        ("ctt.buy_empty", {"count": 2**64}),
        ("ctt.withdraw_sale", {"token": 2**200}),
        ("ctt.withdraw_sale", {"token": -1}),
        ("governance.vote", {"act": "\ud800"}),
        ("governance.vote", {"act": ["add_voter"]}),
        ("energy.produced", {"member": "B", "energy": "1 Wh", "interval_end": "-1d"}),
    ],
)
def test_what_no_call_can_hold_is_refused_in_words(do: str, given: Mapping[str, object]) -> None:
    assert fields_of(do, given) is not None

    with pytest.raises(InvalidError):
        operation(do, given, KNOWN)


NOBODY = Known({}, {}, {}, 0)
HOUR_MS = 3_600_000


def test_the_example_of_a_parameter_can_be_voted_on() -> None:
    arguments = {field.name: field.example for field in PARAMETER_FIELDS}

    assert act(SET_PARAMETER, arguments, NOBODY) == SetParameter("H", 2 * HOUR_MS)


def test_help_names_the_parameters() -> None:
    assert "trade_price" in PARAMETER_FIELDS[0].written
