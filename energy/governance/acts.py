"""What can be voted on: a closed union of acts, and the ballot that names one."""

from itertools import pairwise
from typing import Annotated, Final

import msgspec

from energy.units import PPM
from tangle.address import AddressField
from tangle.codec import Decoder
from tangle.cohorts import MAX_NODES, MAX_SKEW_MS, MAX_STALE_MS, QuorumRule
from tangle.keys import KeyField
from tangle.transaction import (
    MAX_CALL_SIZE,
    MAX_COORDINATOR_KEYS,
    MAX_INTEGER,
    Counter,
    Label,
)


class CoordinatorKeysAct(msgspec.Struct, frozen=True, array_like=True, tag="coordinator_keys"):
    """Let these keys sign from the next milestone on, so many of them each."""

    keys: Annotated[
        tuple[KeyField, ...], msgspec.Meta(min_length=1, max_length=MAX_COORDINATOR_KEYS)
    ]
    """Strictly ascending."""

    quorum: Annotated[int, msgspec.Meta(ge=1, le=MAX_COORDINATOR_KEYS)]
    """More than half of the keys: two milestones of one index need a key that signs twice."""

    def __post_init__(self) -> None:
        if not all(low < high for low, high in pairwise(self.keys)):
            raise ValueError("coordinator keys must be distinct and in ascending order")
        count = len(self.keys)
        if not count < 2 * self.quorum <= 2 * count:
            raise ValueError(f"a quorum of {self.quorum} of {count} keys is not more than half")


class AddVoter(msgspec.Struct, frozen=True, array_like=True, tag="add_voter"):
    """Let a member vote."""

    member: AddressField


class RemoveVoter(msgspec.Struct, frozen=True, array_like=True, tag="remove_voter"):
    """Let a voter be a member again. The last one stays."""

    member: AddressField


class RegisterUnit(msgspec.Struct, frozen=True, array_like=True, tag="register_unit"):
    """Let a device store energy for members."""

    unit: AddressField
    owner: AddressField
    capacity_wh: Counter
    efficiency_ppm: Counter = PPM
    """Of a charge, what is booked: its normal loss is the producer's, known beforehand."""


class RemoveUnit(msgspec.Struct, frozen=True, array_like=True, tag="remove_unit"):
    """Take a storage unit out: its sessions return, its energy is gone."""

    unit: AddressField


class SetBanker(msgspec.Struct, frozen=True, array_like=True, tag="set_banker"):
    """Let a member mint and burn eEuro, in the place of whoever did."""

    member: AddressField


class SetParameter(msgspec.Struct, frozen=True, array_like=True, tag="set_parameter"):
    """Change a number of the community after the milestone that decides it."""

    name: Label
    """One of `energy.parameters.RULES`."""

    value: Annotated[int, msgspec.Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
    """In base units; its range is checked at each ballot."""


class ConfirmDevice(msgspec.Struct, frozen=True, array_like=True, tag="confirm_device"):
    """Vouch for a device: it is there, sealed, and counts what it says."""

    device: AddressField


class SetCohort(msgspec.Struct, frozen=True, array_like=True, tag="cohort"):
    """Let these edge nodes certify together: the next generation of a cohort of that name."""

    name: Label
    nodes: Annotated[tuple[AddressField, ...], msgspec.Meta(min_length=1, max_length=MAX_NODES)]
    """Strictly ascending."""

    quorum: QuorumRule
    max_stale_ms: Annotated[int, msgspec.Meta(ge=1_000, le=MAX_STALE_MS)]
    skew_ms: Annotated[int, msgspec.Meta(ge=0, le=MAX_SKEW_MS)]

    def __post_init__(self) -> None:
        if not all(low < high for low, high in pairwise(self.nodes)):
            raise ValueError("nodes of a cohort must be distinct and in ascending order")


class FundMint(msgspec.Struct, frozen=True, array_like=True, tag="fund_mint"):
    """Issue eEuro to a member, as a banker does."""

    member: AddressField
    amount_ueur: Counter


class FundBurn(msgspec.Struct, frozen=True, array_like=True, tag="fund_burn"):
    """Destroy eEuro that a member locked for withdrawal, as a banker does."""

    member: AddressField
    amount_ueur: Counter


class NamedAct(msgspec.Struct, frozen=True, array_like=True, tag="named"):
    """An act by a name that this version has no rules for: refused, and seen to be."""

    name: Label


Act = (
    CoordinatorKeysAct
    | AddVoter
    | RemoveVoter
    | RegisterUnit
    | RemoveUnit
    | SetBanker
    | SetParameter
    | ConfirmDevice
    | SetCohort
    | FundMint
    | FundBurn
    | NamedAct
)
"""The closed union of what can be voted on."""


class Vote(msgspec.Struct, frozen=True, array_like=True, tag="vote"):
    """A voter's ballot; the first one on an act opens the vote, a later one replaces it."""

    act: Act
    yes: bool


decoder: Final = Decoder(Vote, "governance call", MAX_CALL_SIZE)


def act_name(act: Act) -> str:
    """Return how people call an act: its tag on the ledger."""
    return str(act.__struct_config__.tag)
