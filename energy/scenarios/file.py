"""The scenario file (TOML): steps, and what the ledger must say after each (ENERGY §8)."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from energy.forms.fields import member, member_list, member_or_none
from energy.forms.operations import EDGE, FORMS, METER, VOTE, fields_of
from energy.units import DURATION, EUR, parse
from tangle.errors import InvalidError
from tangle.outcomes import Reason

COMMIT: Final = "reading.commit"
"""A meter's commitment to readings: no operation, but what READING_USED is about."""

MAX_STEPS: Final = 10_000
ROLES: Final = ("member", "voter", EDGE, METER)

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
_OF_STEP: Final = frozenset({"by", "do", "text", "refused", "remark", "expect", "as", "sequence"})
_OF_WAIT: Final = frozenset({"wait", "text", "expect"})
_OF_NETWORK: Final = frozenset({"voter", "parameters", "eeuro", "roles", "strangers"})
_RESERVED: Final = frozenset({"total", "parameter", "ctt", "none"})


@dataclass(frozen=True, slots=True)
class Expected:
    """What a query must answer after a step."""

    key: str
    answer: object
    """Text, a list of texts, or a list of lists of them."""


@dataclass(frozen=True, slots=True)
class Act:
    """Somebody does something."""

    number: int
    """Of the step in the file, from 1."""

    text: str
    by: str
    do: str
    fields: Mapping[str, object]
    label: str | None
    """What later steps call the order that this one posts."""

    sequence: int | None
    """Number to issue under; `None` for the next."""

    refused: Reason | None
    """Why it must be ignored; `None` if it must be applied."""

    remark: Reason | None
    """What an applied report must be remarked with."""

    expect: tuple[Expected, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Ledger time passes."""

    number: int
    text: str
    duration_ms: int
    expect: tuple[Expected, ...]


Step = Act | Wait


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole file."""

    name: str
    source: str
    voter: str
    """The one voter of the genesis."""

    parameters: Mapping[str, str]
    """Voted in by that voter before the first step."""

    eeuro: Mapping[str, int]
    """µEUR that genesis allocates, by name."""

    roles: Mapping[str, str]
    """Everyone who is registered, by name; the voter too."""

    strangers: tuple[str, ...]
    """Names that act and are registered nowhere."""

    steps: tuple[Step, ...]


def parse_scenario(text: str) -> Scenario:
    """Return what a scenario file says.

    Raises:
        InvalidError: It is no TOML, or breaks a rule of such files; names the step and the rule.
    """
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also 5,000 digits, 1,000 brackets
        raise InvalidError(f"scenario: {error}") from error
    _allow("scenario", data, frozenset({"name", "source", "network", "step"}))
    network = _table("[network]", data.get("network", {}))
    _allow("[network]", network, _OF_NETWORK)
    steps = data.get("step", [])
    if not isinstance(steps, list) or not 0 < len(steps) <= MAX_STEPS:
        raise InvalidError(f"scenario: it needs 1 to {MAX_STEPS} tables [[step]]")
    parsed = tuple(_step(number, one) for number, one in enumerate(steps, 1))
    eeuro = _texts("[network] eeuro", network.get("eeuro", {}))
    voter = _name("[network] voter", network.get("voter", "A"))
    strangers = tuple(_name("[network] strangers", one) for one in network.get("strangers", []))
    roles = _roles(voter, parsed, _texts("[network] roles", network.get("roles", {})), eeuro)
    return Scenario(
        name=_string("name", data.get("name")),
        source=_string("source", data.get("source", "")),
        voter=voter,
        parameters=_texts("[network] parameters", network.get("parameters", {})),
        eeuro={name: parse(amount, EUR) for name, amount in eeuro.items()},
        roles={name: role for name, role in roles.items() if name not in strangers},
        strangers=strangers,
        steps=parsed,
    )


def _step(number: int, data: object) -> Step:
    what = f"step {number}"
    step = _table(what, data)
    text, expect = _string(f"{what} text", step.get("text", "")), _expect(what, step)
    if "wait" in step:
        _allow(what, step, _OF_WAIT)
        return Wait(number, text, parse(_string(f"{what} wait", step["wait"]), DURATION), expect)
    for key in ("by", "do"):
        if key not in step:
            raise InvalidError(f"{what}: {key!r} is missing; a step has by and do, or wait")
    do = _string(f"{what} do", step["do"])
    if do not in (*FORMS, VOTE, COMMIT):
        raise InvalidError(f"{what}: no operation {do!r}: there are {', '.join([*FORMS, VOTE])}")
    sequence = step.get("sequence")
    if sequence is not None and not isinstance(sequence, int):
        raise InvalidError(f"{what} sequence: {sequence!r} is no whole number")
    return Act(
        number=number,
        text=text,
        by=_name(f"{what} by", step["by"]),
        do=do,
        fields={key: value for key, value in step.items() if key not in _OF_STEP},
        label=None if "as" not in step else _name(f"{what} as", step["as"]),
        sequence=sequence,
        refused=_reason(what, step.get("refused")),
        remark=_reason(what, step.get("remark")),
        expect=expect,
    )


def _expect(what: str, step: Mapping[str, Any]) -> tuple[Expected, ...]:
    expected = _table(f"{what} expect", step.get("expect", {}))
    return tuple(Expected(key, _answer(f"{what} {key}", one)) for key, one in expected.items())


def _answer(what: str, value: object) -> object:
    if isinstance(value, list):
        return [_answer(what, one) for one in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise InvalidError(f"{what}: {value!r} must be written as text, in quotes")
    return value


def _roles(
    voter: str,
    steps: tuple[Step, ...],
    given: Mapping[str, str],
    eeuro: Mapping[str, str],
) -> dict[str, str]:
    """Return everyone's role: as given, else by what they do, else member."""
    roles = {voter: "voter", **dict.fromkeys(eeuro, "member")}
    roles[voter] = "voter"
    for step in steps:
        if isinstance(step, Act):
            for name, role in _named(step):
                if role is not None or name not in roles:
                    roles[name] = role or "member"
    for name, role in given.items():
        if role not in ROLES:
            raise InvalidError(f"[network] roles: {name} = {role!r} is none of {', '.join(ROLES)}")
        roles[_name("[network] roles", name)] = role
    return roles


def _named(step: Act) -> list[tuple[str, str | None]]:
    """Return whoever a step names, with the role that this shows, if it does."""
    by = METER if step.do == COMMIT else FORMS[step.do].by if step.do in FORMS else None
    found: list[tuple[str, str | None]] = [(step.by, by)]
    fields = step.fields.get("arguments", {}) if step.do == VOTE else step.fields
    if isinstance(fields, Mapping):
        for field in fields_of(step.do, step.fields):
            name = fields.get(field.name)
            if field.read in (member, member_or_none) and isinstance(name, str):
                found.append((_name(f"step {step.number} {field.name}", name), field.role))
            if field.read is member_list and isinstance(name, list):
                what = f"step {step.number} {field.name}"
                found += [(_name(what, one), field.role) for one in name]
    return [(name, role) for name, role in found if name != "none"]


def _reason(what: str, value: object) -> Reason | None:
    if value is None:
        return None
    if value not in list(Reason):
        raise InvalidError(f"{what}: {value!r} is no reason: there are {', '.join(Reason)}")
    return Reason(str(value))


def _allow(what: str, table: Mapping[str, object], keys: frozenset[str]) -> None:
    unknown = sorted(set(table) - keys)
    if unknown:
        raise InvalidError(f"{what}: no key {unknown[0]!r}: there are {', '.join(sorted(keys))}")


def _table(what: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidError(f"{what}: {value!r} is no table")
    return value


def _texts(what: str, value: object) -> dict[str, str]:
    return {key: _string(f"{what} {key}", one) for key, one in _table(what, value).items()}


def _string(what: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidError(f"{what}: {value!r} must be written as text, in quotes")
    return value


def _name(what: str, value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value) or value in _RESERVED:
        raise InvalidError(
            f"{what}: {value!r} is no name: a letter, then up to 31 letters, digits, _ or -; "
            f"not {', '.join(sorted(_RESERVED))}"
        )
    return value
