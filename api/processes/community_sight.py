"""What people see of the ledger who ask a node over HTTP. Pure: answers in, sight out."""

from collections.abc import Iterator, Mapping

from api.http.energy_forms import (
    DepthJson,
    EnergyJson,
    MemberJson,
    UnitJson,
    VoteJson,
    VotesJson,
)
from energy.demo.sight import AccountSeen, SessionSeen, Sight, UnitSeen, VoteSeen
from energy.forms.fields import Known
from energy.forms.operations import act
from energy.parameters import parse_parameter
from energy.queries import Addresses
from tangle.address import Address, decode_address, encode_address
from tangle.errors import InvalidError


def sight_of(
    unit: Address,
    energy: EnergyJson,
    depth: DepthJson,
    votes: VotesJson,
    members: Mapping[Address, MemberJson],
) -> Sight:
    """Return what one node's answers show of a unit and of those who were asked after.

    Raises:
        InvalidError: The node answers what this version does not understand.
    """
    name = encode_address(unit)
    return Sight(
        unit=next((_unit(one) for one in energy.units if one.unit == name), None),
        banker=None if energy.banker is None else decode_address(energy.banker),
        voters=frozenset(decode_address(one) for one in energy.voters),
        votes=tuple(_votes(votes)),
        parameters={key: parse_parameter(key, text) for key, text in energy.parameters.items()},
        best_ask_ueur=depth.sell[0].price_ueur if depth.sell else None,
        best_bid_ueur=depth.buy[0].price_ueur if depth.buy else None,
        accounts={address: _account(name, one) for address, one in members.items()},
    )


def _unit(unit: UnitJson) -> UnitSeen:
    reporter = None if unit.reporter is None else decode_address(unit.reporter)
    return UnitSeen(unit.capacity_wh, unit.stored_wh, unit.free_wh, reporter)


def _votes(votes: VotesJson) -> Iterator[VoteSeen]:
    for one in votes.votes:
        seen = _vote(one)
        if seen is not None:
            yield seen


def _vote(vote: VoteJson) -> VoteSeen | None:
    """Return an open vote; `None` for what these people leave to others: who signs milestones."""
    try:
        decided = act(vote.act, vote.arguments, Known(Addresses(), {}, {}, 0))
    except InvalidError:
        return None
    balloted = frozenset(decode_address(one) for one in (*vote.yes, *vote.no))
    return VoteSeen(decided, balloted)


def _account(unit: str, member: MemberJson) -> AccountSeen:
    signed = next((one.limit_uent for one in member.connections if one.unit == unit), None)
    sessions = [one for one in member.sessions if one.unit == unit]
    return AccountSeen(
        ent_uent=member.ent_uent,
        eeuro_ueur=member.eeuro_ueur,
        eeuro_locked_ueur=member.eeuro_locked_ueur,
        withdrawal_ueur=member.withdrawal_ueur,
        limit_uent=signed,
        session=SessionSeen(sessions[-1].amount_uent, sessions[-1].expires_at_ms)
        if sessions
        else None,
        selling_uent=sum(one.left_uent for one in member.orders if one.side == "sell"),
        buying_uent=sum(one.left_uent for one in member.orders if one.side == "buy"),
    )
