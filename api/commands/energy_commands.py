"""The commands `energy show`, `member show` and `vote list`: the community, as a node tells it."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from api.commands.access_files import NodeUrl, node_client
from api.commands.operation_commands import AddressBook
from api.http.energy_forms import (
    ConnectionJson,
    CttTokenJson,
    EnergyJson,
    MemberJson,
    OrderJson,
    SessionJson,
    UnitJson,
    VoteJson,
    VotesJson,
)
from api.terminal.options import DEFAULT_DATA_DIR, AsJson, DataDir, ending, layout_of
from api.terminal.talk import put, put_json
from energy.units import ENERGY, ENT, EUR, PRICE, RATE, render
from tangle.address import encode_address

Who = Annotated[str, typer.Argument(metavar="ADDRESS|HOME", help="tw1…, or a home of --data-dir.")]

_NOBODY: Final = "nobody"
_NONE: Final = "none"


def show(
    *, data_dir: DataDir = DEFAULT_DATA_DIR, node: NodeUrl = None, as_json: AsJson = False
) -> None:
    """Show tokens and energy, gap and rate, storage units, parameters, banker and voters.

    Examples:
      tanglewatt energy show
      tanglewatt energy show --json
    """
    with ending(as_json=as_json):
        found = node_client(layout_of(data_dir), node).answer("energy", EnergyJson)
        if as_json:
            put_json(asdict(found))
            return
        put(f"after milestone {found.index}")
        put(f"tokens      {render(found.total_ent_uent, ENT)}")
        put(f"stored      {render(found.total_energy_wh, ENERGY)}")
        put(f"gap         {render(found.gap_uent, ENT)}, rate {render(found.rate_ppm, RATE)}")
        put(f"money       {render(found.total_eeuro_ueur, EUR)}")
        for one in found.units:
            put(f"unit        {_unit(one)}")
        put(f"banker      {found.banker or _NOBODY}")
        for voter in found.voters:
            put(f"voter       {voter}")
        put("parameters  " + ", ".join(f"{name} {one}" for name, one in found.parameters.items()))


def show_member(
    *,
    who: Who,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    node: NodeUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show what somebody holds: free and locked, sessions, orders, energy accounts.

    Examples:
      tanglewatt member show home_01
      tanglewatt member show tw1… --json
    """
    with ending(as_json=as_json):
        layout = layout_of(data_dir)
        address = encode_address(AddressBook(layout)[who])
        found = node_client(layout, node).answer(f"members/{address}", MemberJson)
        if as_json:
            put_json(asdict(found))
            return
        put(f"{found.address}, {found.role or 'not registered'}, after milestone {found.index}")
        free, locked = render(found.ent_uent, ENT), render(found.ent_locked_uent, ENT)
        put(f"tokens      {free}, {locked} locked")
        put(f"money       {_money(found)}")
        for session in found.sessions:
            put(f"session     {_session(session)}")
        for signed in found.connections:
            put(f"connected   {_connection(signed)}")
        for order in found.orders:
            put(f"order       {order_line(order)}")
        if not found.orders_whole:
            put("order       there may be more: the book is longer than one request looks at")
        _put_accounts(found)


def list_votes(
    *, data_dir: DataDir = DEFAULT_DATA_DIR, node: NodeUrl = None, as_json: AsJson = False
) -> None:
    """Show the open votes: ballots, and what each would do if it passed now.

    Examples:
      tanglewatt vote list
      tanglewatt vote list --json
    """
    with ending(as_json=as_json):
        found = node_client(layout_of(data_dir), node).answer("votes", VotesJson)
        if as_json:
            put_json(asdict(found))
            return
        for vote in found.votes:
            _put_vote(vote)
        if not found.votes:
            put(f"no open vote after milestone {found.index}; voters: {found.voters}")


def order_line(order: OrderJson) -> str:
    """Return an order as people read it."""
    amount, price = render(order.left_uent, ENT), render(order.price_ueur, PRICE)
    return f"{order.side:<4}  {amount} at {price}  {order.id}"


def _unit(one: UnitJson) -> str:
    stored, free = render(one.stored_wh, ENERGY), render(one.free_wh, ENERGY)
    capacity, efficiency = render(one.capacity_wh, ENERGY), render(one.efficiency_ppm, RATE)
    return (
        f"{one.unit}: {stored} of {capacity}, {free} free, efficiency {efficiency}, "
        f"owner {one.owner}"
    )


def _money(found: MemberJson) -> str:
    free, locked = render(found.eeuro_ueur, EUR), render(found.eeuro_locked_ueur, EUR)
    return f"{free}, {locked} locked, {render(found.withdrawal_ueur, EUR)} of it to be paid out"


def _session(one: SessionJson) -> str:
    energy, amount = render(one.energy_wh, ENERGY), render(one.amount_uent, ENT)
    waits = "" if one.is_open else f", over; waits for reports until {_moment(one.returns_at_ms)}"
    return f"{one.unit}: {energy} for {amount}, rate {render(one.rate_ppm, RATE)}{waits}"


def _connection(one: ConnectionJson) -> str:
    limit = render(one.limit_uent, ENT)
    if one.falls_to_uent is None or one.falls_at_ms is None:
        return f"{one.unit}, limit {limit}"
    lower = render(one.falls_to_uent, ENT)
    return f"{one.unit}, limit {limit}, from {_moment(one.falls_at_ms)} on {lower}"


def _moment(timestamp_ms: int) -> str:
    """Return ledger time as people write it, in whole seconds of UTC."""
    return datetime.fromtimestamp(timestamp_ms // 1_000, UTC).isoformat()


def _put_accounts(found: MemberJson) -> None:
    if not found.ctt_tokens and found.ctt_limit_w is None and not found.ctt_uncovered_wh:
        return
    limit = "never interrupted"
    if found.ctt_limit_w is not None:
        limit = f"down to {found.ctt_limit_w} W when empty"
    available, uncovered = found.ctt_available_wh, found.ctt_uncovered_wh
    put(f"CTT         {render(available, ENERGY)} available, {limit}")
    put(f"CTT         {render(uncovered, ENERGY)} consumed that no token covered")
    for one in found.ctt_tokens:
        put(f"CTT {one.token:<7} {_token(one)}")


def _token(one: CttTokenJson) -> str:
    held = f"{render(one.energy_wh, ENERGY)} of {render(one.capacity_wh, ENERGY)}"
    sale = "" if one.price_ueur is None else f", on sale for {render(one.price_ueur, EUR)}"
    return held + sale + ("" if one.approved is None else f", approved for {one.approved}")


def _put_vote(vote: VoteJson) -> None:
    arguments = ", ".join(f"{name} {_text(one)}" for name, one in vote.arguments.items())
    put(f"{vote.act}: {arguments}")
    put(f"  yes {vote.counted} of {vote.needed} needed, no {len(vote.no)}")
    if vote.refused is not None:
        put(f"  could not be carried out now: {vote.refused}")
    for change in vote.changes:
        put(f"  {change.key}: {_text(change.now)} → {_text(change.then)}")


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else " ".join(value) or _NONE
