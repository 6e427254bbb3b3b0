"""What an act would do, computed as if it passed now: voters see it before they decide."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import assert_never

from energy.governance.acts import (
    Act,
    AddVoter,
    ConfirmDevice,
    CoordinatorKeysAct,
    FundBurn,
    FundMint,
    NamedAct,
    RegisterUnit,
    RemoveUnit,
    RemoveVoter,
    SetBanker,
    SetCohort,
    SetParameter,
)
from energy.governance.rules import carried_out, take_effect
from energy.queries import Names, ask
from tangle.address import Address, encode_address
from tangle.outcomes import Reason
from tangle.rows import Draft, RowReader


@dataclass(frozen=True, slots=True)
class Difference:
    """One query that would be answered otherwise."""

    key: str
    now: str | list[str]
    """A quantity or a name; of `voters` all of them."""

    then: str | list[str]


@dataclass(frozen=True, slots=True)
class Preview:
    """What would come of an act."""

    refused: Reason | None
    """Why it could not be carried out now; `None` if it could."""

    differences: tuple[Difference, ...] = ()


def preview(rows: RowReader, act: Act, voters: AbstractSet[Address]) -> Preview:
    """Return what an act would change if it passed in this milestone.

    Args:
        rows: The state; not changed.
        act: What is voted on.
        voters: Of the moment. Read once by the caller: to find them is to read all identities.
    """
    decided = carried_out(rows, act)
    if isinstance(decided, Reason):
        return Preview(decided)
    if isinstance(act, AddVoter | RemoveVoter):
        return Preview(None, _of_voters(act, voters))
    draft = Draft(rows)
    draft.put(decided.changes)
    take_effect(draft)
    names = _names(act)
    asked = [(key, _told(rows, key, names), _told(draft, key, names)) for key in _keys(act)]
    return Preview(None, tuple(Difference(*one) for one in asked if one[1] != one[2]))


def _told(rows: RowReader, key: str, names: Names) -> str:
    answer = ask(rows, key, names)
    assert isinstance(answer, str), f"{key} is answered by a list"
    return answer


def _of_voters(act: AddVoter | RemoveVoter, voters: AbstractSet[Address]) -> tuple[Difference, ...]:
    member = frozenset({Address(act.member)})
    after = voters | member if isinstance(act, AddVoter) else voters - member
    if after == voters:
        return ()
    return (Difference("voters", _texts(voters), _texts(after)),)


def _texts(addresses: AbstractSet[Address]) -> list[str]:
    return sorted(encode_address(one) for one in addresses)


def _names(act: Act) -> Names:
    """Return the names that `_keys` uses: of whoever is paid, the address itself."""
    if isinstance(act, FundMint | FundBurn):
        member = Address(act.member)
        return Names({encode_address(member): member})
    return Names({})


def _keys(act: Act) -> tuple[str, ...]:
    """Return the queries that an act bears on."""
    match act:
        case SetParameter():
            keys: tuple[str, ...] = (f"parameter.{act.name}", "rate")
        case RemoveUnit():
            keys = ("total.energy", "gap", "rate")
        case SetBanker():
            keys = ("banker",)
        case FundMint() | FundBurn():
            name = encode_address(Address(act.member))
            keys = ("total.eeuro", f"{name}.eeuro", f"{name}.eeuro_locked")
        case (
            AddVoter()
            | RemoveVoter()
            | RegisterUnit()
            | ConfirmDevice()
            | CoordinatorKeysAct()
            | SetCohort()
            | NamedAct()
        ):
            keys = ()
        case _:
            assert_never(act)
    return keys
