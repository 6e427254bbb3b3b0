"""What each act needs, and what it does once more than half of the voters want it."""

from typing import Final, assert_never

import msgspec

from energy.bank import BANKER_KEY, banker_row, burn_eeuro, mint_eeuro
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
from energy.members import CONFIRMED_PREFIX, CONFIRMED_ROW, is_member, voters
from energy.parameters import (
    PARAMETERS_KEY,
    RULES,
    parameters,
    parameters_row,
    with_parameter,
)
from energy.powerchain.gap import Gap, rate_of
from energy.powerchain.records import StorageUnit, gap_of, put_rate, put_unit, unit_at
from energy.powerchain.registry import refused_registration, remove_unit
from tangle.accounts import (
    COORDINATORS_KEY,
    CoordinatorKeys,
    identity,
    identity_key,
)
from tangle.address import Address
from tangle.codec import Decoder, encode
from tangle.cohorts import Cohort, cohort, cohort_key, cohort_row
from tangle.contracts import Changed
from tangle.outcomes import Event, Reason
from tangle.rows import Draft, RowReader
from tangle.transaction import Counter

PENDING_PREFIX: Final = b"governance/pending/"
_MAX_ROW_SIZE: Final = 64


class PendingParameter(msgspec.Struct, frozen=True, array_like=True):
    """A row within a milestone: a decided value that holds after its last operation."""

    value: Counter


_pending: Final = Decoder(PendingParameter, "pending parameter row", _MAX_ROW_SIZE)


def carried_out(rows: RowReader, act: Act) -> Changed | Reason:
    """Return what an act changes, or why it cannot be carried out as things stand.

    Each ballot asks as well, so that nobody votes on what is impossible.
    """
    match act:
        case CoordinatorKeysAct():
            decided: Changed | Reason = Changed(
                {COORDINATORS_KEY: encode(CoordinatorKeys(act.keys, act.quorum))}
            )
        case AddVoter() | RemoveVoter():
            decided = _set_voter(rows, act)
        case RegisterUnit() | RemoveUnit():
            decided = _set_unit(rows, act)
        case SetBanker() | ConfirmDevice():
            decided = _named(rows, act)
        case SetParameter():
            decided = _set_parameter(act)
        case SetCohort():
            decided = _set_cohort(rows, act)
        case FundMint() | FundBurn():
            decided = _fund(rows, act)
        case NamedAct():
            decided = Reason.NO_SUCH_ACT
        case _:
            assert_never(act)
    return decided


def take_effect(draft: Draft) -> list[Event]:
    """Let the parameters that this milestone decided hold, and compute the rate anew."""
    pending = list(draft.scan(PENDING_PREFIX))
    if not pending:
        return []
    changed, events = parameters(draft), []
    for key, row in pending:
        name, value = key.removeprefix(PENDING_PREFIX).decode("ascii"), _pending.read(row).value
        changed = with_parameter(changed, name, value)
        draft.put({key: None})
        events.append(Event("governance.parameter_set", (("name", name), ("value", value))))
    draft.put({PARAMETERS_KEY: parameters_row(changed)})
    gap_uent = gap_of(draft).gap_uent
    put_rate(draft, Gap(gap_uent, rate_of(gap_uent, changed.cost_ppm)))
    return events


def _set_voter(rows: RowReader, act: AddVoter | RemoveVoter) -> Changed | Reason:
    """Change a role; nothing if it is that already.

    Or `UNKNOWN_MEMBER`, `NOT_ALLOWED` (a device or an edge node has its own role), `LAST_VOTER`.
    """
    known = identity(rows, act.member)
    if known is None:
        return Reason.UNKNOWN_MEMBER
    if known.role not in ("member", "voter"):
        return Reason.NOT_ALLOWED
    if isinstance(act, RemoveVoter) and voters(rows) == {act.member}:
        return Reason.LAST_VOTER
    role = "voter" if isinstance(act, AddVoter) else "member"
    row = encode(msgspec.structs.replace(known, role=role))
    return Changed({identity_key(act.member): row})


def _set_unit(rows: RowReader, act: RegisterUnit | RemoveUnit) -> Changed | Reason:
    """Register a unit, or remove one; or what `refused_registration` says, or `NOT_A_UNIT`."""
    draft = Draft(rows)
    if isinstance(act, RemoveUnit):
        if unit_at(rows, act.unit) is None:
            return Reason.NOT_A_UNIT
        events = remove_unit(draft, act.unit)
        return Changed(draft.changes, tuple(events))
    unit = StorageUnit(act.owner, act.capacity_wh, act.efficiency_ppm)
    reason = refused_registration(rows, act.unit, unit)
    if reason is not None:
        return reason
    put_unit(draft, act.unit, unit)
    fields = (
        ("unit", act.unit),
        ("owner", act.owner),
        ("capacity_wh", act.capacity_wh),
        ("efficiency_ppm", act.efficiency_ppm),
    )
    return Changed(draft.changes, (Event("energy.unit_registered", fields),))


def _named(rows: RowReader, act: SetBanker | ConfirmDevice) -> Changed | Reason:
    """Name a banker, or vouch for a device; or `UNKNOWN_MEMBER` (not registered)."""
    if isinstance(act, SetBanker):
        if not is_member(rows, act.member):
            return Reason.UNKNOWN_MEMBER
        return Changed({BANKER_KEY: banker_row(act.member)})
    if identity(rows, act.device) is None:
        return Reason.UNKNOWN_MEMBER
    return Changed({CONFIRMED_PREFIX + act.device: CONFIRMED_ROW})


def _set_cohort(rows: RowReader, act: SetCohort) -> Changed | Reason:
    """Make the next generation; or `UNKNOWN_MEMBER`, `NOT_ALLOWED` (not all are edge nodes)."""
    known = [identity(rows, Address(node)) for node in act.nodes]
    if any(one is None for one in known):
        return Reason.UNKNOWN_MEMBER
    if any(one is not None and one.role != "edge" for one in known):
        return Reason.NOT_ALLOWED
    before = cohort(rows, act.name)
    generation = 1 if before is None else before.generation + 1
    after = Cohort(generation, act.nodes, act.quorum, act.max_stale_ms, act.skew_ms)
    fields = (("cohort", act.name), ("generation", generation), ("nodes", len(act.nodes)))
    return Changed({cohort_key(act.name): cohort_row(after)}, (Event("governance.cohort", fields),))


def _set_parameter(act: SetParameter) -> Changed | Reason:
    """Decide a value; or `NO_SUCH_ACT` (no such parameter), `OUT_OF_RANGE`."""
    rule = RULES.get(act.name)
    if rule is None:
        return Reason.NO_SUCH_ACT
    if not rule.low <= act.value <= rule.high:
        return Reason.OUT_OF_RANGE
    key = PENDING_PREFIX + act.name.encode("ascii")
    return Changed({key: encode(PendingParameter(act.value))})


def _fund(rows: RowReader, act: FundMint | FundBurn) -> Changed | Reason:
    """Mint or burn by vote; or `NO_SUCH_ACT` (switched off), or what a banker is refused."""
    if not parameters(rows).has_fund:
        return Reason.NO_SUCH_ACT
    member = Address(act.member)
    if isinstance(act, FundMint):
        return mint_eeuro(rows, member, act.amount_ueur)
    return burn_eeuro(rows, member, act.amount_ueur)
