import re

import msgspec
import pytest

from api.http.problems import MAX_DETAIL_LENGTH, http_problem, problem_of
from api.http.views import payload_json
from api.plain import plain_call
from tangle import errors
from tangle.errors import InvalidError, MoreWorkNeededError, TanglewattError, UnavailableError
from tangle.transaction import Operation


class Inner(msgspec.Struct, frozen=True, array_like=True):
    key: bytes


class Outer(msgspec.Struct, frozen=True, array_like=True, tag="outer"):
    many: tuple[Inner, ...]
    amount: int


def test_a_call_is_shown_by_name_down_to_its_parts() -> None:
    shown = plain_call(Outer((Inner(b"\x01"), Inner(b"\x02")), 3))

    assert shown == {"call": "outer", "many": [{"key": "01"}, {"key": "02"}], "amount": 3}


def test_a_call_of_a_contract_from_another_time_is_shown_as_bytes() -> None:
    shown = payload_json(Operation("gone", b"\x01"), {})

    assert (shown.type, getattr(shown, "call", ""), getattr(shown, "fields", "")) == (
        "operation",
        "01",
        None,
    )


def own_errors() -> list[type[InvalidError | UnavailableError]]:
    kinds = [one for one in vars(errors).values() if isinstance(one, type)]
    return [one for one in kinds if issubclass(one, InvalidError | UnavailableError)]


def test_every_error_of_ours_has_its_own_code() -> None:
    codes = {problem_of(kind("x")).code for kind in own_errors()}

    assert len(codes) == len(own_errors())
    assert all(re.fullmatch(r"[A-Z]+(_[A-Z]+)*", code) for code in codes)


@pytest.mark.parametrize("kind", own_errors())
def test_what_is_invalid_is_400_and_what_is_unavailable_503(
    kind: type[TanglewattError],
) -> None:
    error = kind("what was said")
    assert isinstance(error, InvalidError | UnavailableError)

    problem = problem_of(error)

    unavailable = 429 if isinstance(error, MoreWorkNeededError) else 503
    assert problem.status == (400 if isinstance(error, InvalidError) else unavailable)
    assert problem.detail == "what was said"


def test_a_problem_is_named_for_people_and_for_programs() -> None:
    problem = problem_of(errors.MissingWorkError("3 zero bits: 14 are required"))

    assert problem.code == "MISSING_WORK"
    assert problem.title == "Missing work"
    assert problem.type == "urn:tanglewatt:problem:MISSING_WORK"


def test_a_long_detail_is_cut() -> None:
    assert len(http_problem(400, "x" * 10_000).detail) == MAX_DETAIL_LENGTH
