"""Acts as people write them: the way back from a value on the ledger to names and plain units."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from energy.forms.fields import Reader, energy, eur, length, member, member_list, rate
from energy.forms.operations import ACTS, SET_PARAMETER
from energy.governance.acts import Act, act_name
from energy.parameters import RULES, render_parameter
from energy.queries import Names
from energy.units import DURATION, ENERGY, EUR, RATE, Unit, render

Written = str | list[str]
"""A name, a quantity, a number, or a list of keys in hex."""

_UNITS: Final[Mapping[Reader, Unit]] = {energy: ENERGY, eur: EUR, rate: RATE, length: DURATION}


def written_act(act: Act, names: Names) -> tuple[str, dict[str, Written]]:
    """Return the name of an act and its arguments, as a ballot on it is written."""
    name = act_name(act)
    given: dict[str, Any] = msgspec.structs.asdict(act)
    if name == SET_PARAMETER:
        parameter, value = given["name"], given["value"]
        is_known = parameter in RULES
        text = render_parameter(parameter, value) if is_known else str(value)
        return name, {"name": parameter, "value": text}
    _, fields = ACTS.get(name, (None, ()))
    return name, {one.name: _written(one.read, given[one.into], names) for one in fields}


def _written(read: Reader, value: Any, names: Names) -> Written:  # noqa: ANN401 # as the field says
    if read in _UNITS:
        return render(value, _UNITS[read])
    if read is member:
        return names.name(value)
    if read is member_list:
        return sorted(names.name(one) for one in value)
    return [key.hex() for key in value] if isinstance(value, tuple) else str(value)
