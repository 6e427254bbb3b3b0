"""Turns rows of the energy layer into the records of `energy_forms`."""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from api.http.energy_forms import (
    ChangeJson,
    ConnectionJson,
    CttTokenJson,
    DepthJson,
    EnergyJson,
    LevelJson,
    MemberJson,
    OrderJson,
    OrdersJson,
    SessionJson,
    UnitJson,
    VoteJson,
    VotesJson,
)
from api.http.service import LedgerState
from energy.bank import banker, withdrawal_ueur
from energy.ctt.rows import account, token, tokens_of
from energy.ctt.trading import price_ueur
from energy.forms.rendering import written_act
from energy.governance.contract import LAPSE_MS, OpenVote, open_votes
from energy.governance.preview import preview
from energy.locked import locked, total, total_energy_wh
from energy.market.book import NEVER, Order, Side, depth, side_of_book
from energy.members import voters
from energy.parameters import RULES, parameters, render_parameter, value_of
from energy.powerchain.limits import fallen
from energy.powerchain.records import (
    StorageUnit,
    connection_at,
    gap_of,
    sessions_at,
    sessions_of,
    storage_units,
)
from energy.queries import Names
from tangle.accounts import NO_ADDRESS, Token, balance, identity, sequence_window
from tangle.address import Address, encode_address
from tangle.rows import RowReader

MAX_ORDERS_LOOKED: Final = 10_000
"""Of each side of the book that one request looks at: the book has no index of owners."""

MAX_TOKENS_SHOWN: Final = 1_000
"""Energy accounts of one member in one answer."""

_NOBODY_NAMED: Final = Names({})


def energy_json(state: LedgerState) -> EnergyJson:
    """Return tokens, energy and rules after the last applied milestone."""
    rows = state.rows
    gap, rules, named = gap_of(rows), parameters(rows), banker(rows)
    return EnergyJson(
        index=state.index,
        timestamp_ms=state.timestamp_ms,
        total_ent_uent=total(rows, Token.ENT),
        total_eeuro_ueur=total(rows, Token.EEURO),
        total_energy_wh=total_energy_wh(rows),
        gap_uent=gap.gap_uent,
        rate_ppm=gap.rate_ppm,
        banker=None if named is None else encode_address(named),
        voters=sorted(encode_address(one) for one in voters(rows)),
        parameters={name: render_parameter(name, value_of(rules, name)) for name in RULES},
        units=[_unit_json(rows, *one) for one in storage_units(rows)],
    )


def depth_json(state: LedgerState, levels: int) -> DepthJson:
    """Return the best price levels of both sides."""
    return DepthJson(
        state.index, _levels(state.rows, "sell", levels), _levels(state.rows, "buy", levels)
    )


def orders_json(state: LedgerState, owner: Address | None, most: int) -> OrdersJson:
    """Return open orders, of one owner or of all; at most so many."""
    found, is_whole = _orders(state.rows, owner)
    shown = list(islice(found, most + 1))
    is_whole = is_whole and len(shown) <= most
    return OrdersJson(state.index, [_order_json(one) for one in shown[:most]], is_whole)


def member_json(state: LedgerState, address: Address) -> MemberJson:
    """Return all that the ledger holds for one address: zeroes where it holds nothing."""
    rows, known = state.rows, identity(state.rows, address)
    held, (orders, is_whole) = account(rows, address), _orders(rows, address)
    return MemberJson(
        index=state.index,
        address=encode_address(address),
        role=None if known is None else known.role,
        owner=None if known is None else _some(known.owner),
        next_sequence=sequence_window(rows, address).next,
        ent_uent=balance(rows, Token.ENT, address),
        ent_locked_uent=locked(rows, Token.ENT, address),
        eeuro_ueur=balance(rows, Token.EEURO, address),
        eeuro_locked_ueur=locked(rows, Token.EEURO, address),
        withdrawal_ueur=withdrawal_ueur(rows, address),
        sessions=list(_sessions(state, address)),
        connections=list(_connections(state, address)),
        orders=[_order_json(one) for one in orders],
        orders_whole=is_whole,
        ctt_available_wh=held.available_wh,
        ctt_limit_w=held.limit_w,
        ctt_uncovered_wh=held.uncovered_wh,
        ctt_tokens=[
            _token_json(rows, number) for number in tokens_of(rows, address)[:MAX_TOKENS_SHOWN]
        ],
    )


def votes_json(state: LedgerState) -> VotesJson:
    """Return the open votes, with what each would do."""
    rows, entitled = state.rows, voters(state.rows)
    votes = [_vote_json(rows, one, entitled) for one in open_votes(rows)]
    return VotesJson(state.index, len(entitled), votes)


def _vote_json(rows: RowReader, vote: OpenVote, entitled: frozenset[Address]) -> VoteJson:
    act, arguments = written_act(vote.act, _NOBODY_NAMED)
    would = preview(rows, vote.act, entitled)
    return VoteJson(
        act=act,
        arguments=arguments,
        opener=encode_address(Address(vote.opener)),
        opened_at_ms=vote.opened_at_ms,
        lapses_at_ms=vote.opened_at_ms + LAPSE_MS,
        yes=[encode_address(Address(one)) for one in vote.yes],
        no=[encode_address(Address(one)) for one in vote.no],
        counted=sum(one in entitled for one in vote.yes),
        needed=len(entitled) // 2 + 1,
        refused=would.refused,
        changes=[ChangeJson(one.key, one.now, one.then) for one in would.differences],
    )


def _unit_json(rows: RowReader, address: Address, unit: StorageUnit) -> UnitJson:
    return UnitJson(
        unit=encode_address(address),
        owner=encode_address(Address(unit.owner)),
        capacity_wh=unit.capacity_wh,
        efficiency_ppm=unit.efficiency_ppm,
        stored_wh=unit.stored_wh,
        free_wh=unit.free_wh,
        sessions=sum(1 for _ in sessions_of(rows, address)),
        reporter=_some(unit.reporter),
        next_report=unit.reports.next,
    )


def _levels(rows: RowReader, side: Side, levels: int) -> list[LevelJson]:
    return [LevelJson(*one) for one in depth(rows, side, levels)]


def _orders(rows: RowReader, owner: Address | None) -> tuple[Iterator[Order], bool]:
    """Return open orders, offers before bids, and whether the book was looked at whole."""
    sides = [list(islice(side_of_book(rows, side), MAX_ORDERS_LOOKED + 1)) for side in _SIDES]
    looked = (one for side in sides for one in side[:MAX_ORDERS_LOOKED])
    is_whole = all(len(side) <= MAX_ORDERS_LOOKED for side in sides)
    return (one for one in looked if owner is None or one.owner == owner), is_whole


_SIDES: Final[tuple[Side, Side]] = ("sell", "buy")


def _order_json(order: Order) -> OrderJson:
    return OrderJson(
        id=order.order_id.hex(),
        owner=encode_address(Address(order.owner)),
        side=order.place.side,
        left_uent=order.left_uent,
        price_ueur=order.place.price_ueur,
        posted_index=order.place.index,
        expires_at_ms=None if order.expires_at_ms == NEVER else order.expires_at_ms,
    )


def _sessions(state: LedgerState, member: Address) -> Iterator[SessionJson]:
    for unit, _ in storage_units(state.rows):
        for held in sessions_at(state.rows, unit, member):
            yield SessionJson(
                encode_address(unit),
                held.energy_wh,
                held.amount_uent,
                held.rate_ppm,
                held.expires_at_ms,
                held.returns_at_ms,
                state.timestamp_ms < held.expires_at_ms,
            )


def _connections(state: LedgerState, member: Address) -> Iterator[ConnectionJson]:
    for unit, _ in storage_units(state.rows):
        found = connection_at(state.rows, unit, member)
        if found is not None:
            signed = fallen(found, state.timestamp_ms)
            yield ConnectionJson(
                unit=encode_address(unit),
                edge=encode_address(Address(signed.edge)),
                limit_uent=signed.limit_uent,
                falls_to_uent=None if signed.falls_at_ms is None else signed.falls_to_uent,
                falls_at_ms=signed.falls_at_ms,
                since_ms=signed.since_ms,
            )


def _token_json(rows: RowReader, number: int) -> CttTokenJson:
    one = token(rows, number)
    assert one is not None, f"the index names token {number}, which is not there"
    return CttTokenJson(
        token=number,
        capacity_wh=one.capacity_wh,
        energy_wh=one.energy_wh,
        price_ueur=None if one.sale is None else price_ueur(one, one.sale),
        approved=None if one.approved is None else encode_address(Address(one.approved)),
    )


def _some(address: bytes) -> str | None:
    return None if address == NO_ADDRESS else encode_address(Address(address))
