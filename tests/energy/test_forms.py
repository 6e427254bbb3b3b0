"""What people are told about the fields of an operation."""

from energy.forms.fields import Known
from energy.forms.operations import PARAMETER_FIELDS, SET_PARAMETER, act
from energy.governance.acts import SetParameter

NOBODY = Known({}, {}, {}, 0)
HOUR_MS = 3_600_000


def test_the_example_of_a_parameter_can_be_voted_on() -> None:
    arguments = {field.name: field.example for field in PARAMETER_FIELDS}

    assert act(SET_PARAMETER, arguments, NOBODY) == SetParameter("H", 2 * HOUR_MS)


def test_help_names_the_parameters() -> None:
    assert "trade_price" in PARAMETER_FIELDS[0].written
