"""Operations as people write them: what no call can hold is refused in words, not by a crash."""

from collections.abc import Mapping

import pytest

from energy.forms.fields import Known
from energy.forms.operations import fields_of, operation
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
