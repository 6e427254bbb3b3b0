"""The commands `market depth`, `orders`, `trades` and `candles`: the book, as one node tells it."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Final
from urllib.parse import urlencode

import typer

from api.commands.access_files import NodeUrl, node_client
from api.commands.energy_commands import order_line
from api.commands.operation_commands import AddressBook
from api.http.energy_forms import (
    CandlesJson,
    DepthJson,
    LevelJson,
    OrdersJson,
    TradesJson,
)
from api.terminal.options import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    add_command,
    ending,
    layout_of,
)
from api.terminal.talk import put, put_json
from energy.units import ENT, EUR, PRICE, render
from tangle.address import encode_address

DEFAULT_LEVELS: Final = 10
DEFAULT_ORDERS: Final = 100
DEFAULT_TRADES: Final = 20
DEFAULT_CANDLES: Final = 24
DEFAULT_SPAN: Final = "1h"

Levels = Annotated[int, typer.Option("--levels", help="Price levels of each side.", min=1)]
Limit = Annotated[int, typer.Option("--limit", help="How many at most.", min=1)]
Owner = Annotated[
    str | None, typer.Option("--address", help="Of this owner: tw1…, or a home of --data-dir.")
]
Span = Annotated[str, typer.Option("--span", help="Ledger time of one candle: 15min, 1h, 1d.")]
Before = Annotated[
    str | None, typer.Option("--before", help="Go on where `next` of an earlier answer said.")
]


def depth(
    *,
    levels: Levels = DEFAULT_LEVELS,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    node: NodeUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show how much is offered and asked for at the best prices.

    Examples:
      tanglewatt market depth --levels 5
    """
    with ending(as_json=as_json):
        client = node_client(layout_of(data_dir), node)
        found = client.answer(f"market/depth?levels={levels}", DepthJson)
        if as_json:
            put_json(asdict(found))
            return
        for one in reversed(found.sell):
            put(f"sell  {_level(one)}")
        put(f"----  after milestone {found.index}")
        for one in found.buy:
            put(f"buy   {_level(one)}")


def orders(
    *,
    address: Owner = None,
    limit: Limit = DEFAULT_ORDERS,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    node: NodeUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show open orders: offers, cheapest first, then bids, dearest first.

    Examples:
      tanglewatt market orders --address home_01
    """
    with ending(as_json=as_json):
        layout = layout_of(data_dir)
        asked: dict[str, str | int] = {"limit": limit}
        if address is not None:
            asked["address"] = encode_address(AddressBook(layout)[address])
        path = f"market/orders?{urlencode(asked)}"
        found = node_client(layout, node).answer(path, OrdersJson)
        if as_json:
            put_json(asdict(found))
            return
        for one in found.orders:
            put(f"{order_line(one)}  {one.owner}")
        if not found.is_whole:
            put(f"there are more than these {len(found.orders)}")


def trades(
    *,
    limit: Limit = DEFAULT_TRADES,
    before: Before = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    node: NodeUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show the last trades, the newest first.

    Examples:
      tanglewatt market trades --limit 5
    """
    with ending(as_json=as_json):
        asked = {"limit": str(limit)} | ({} if before is None else {"before": before})
        client = node_client(layout_of(data_dir), node)
        found = client.answer(f"market/trades?{urlencode(asked)}", TradesJson)
        if as_json:
            put_json(asdict(found))
            return
        for one in found.trades:
            amount, price = render(one.amount_uent, ENT), render(one.price_ueur, PRICE)
            put(f"{_moment(one.timestamp_ms)}  {amount} at {price}  {one.seller} → {one.buyer}")
        if found.next is not None:
            put(f"older ones: --before {found.next}")


def candles(
    *,
    span: Span = DEFAULT_SPAN,
    limit: Limit = DEFAULT_CANDLES,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    node: NodeUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show the trades of each span of ledger time: opening, highest, lowest and last price.

    Examples:
      tanglewatt market candles --span 15min
    """
    with ending(as_json=as_json):
        asked = urlencode({"span": span, "limit": limit})
        client = node_client(layout_of(data_dir), node)
        found = client.answer(f"market/candles?{asked}", CandlesJson)
        if as_json:
            put_json(asdict(found))
            return
        for one in found.candles:
            prices = (one.open_ueur, one.high_ueur, one.low_ueur, one.close_ueur)
            shown = "  ".join(render(price, EUR) for price in prices)
            amount = render(one.amount_uent, ENT)
            put(f"{_moment(one.start_ms)}  {shown}  {amount} in {one.trades} trades")


def add_reads(group: typer.Typer) -> None:
    """Add what only asks to the group `market`."""
    for name, command in (
        ("depth", depth),
        ("orders", orders),
        ("trades", trades),
        ("candles", candles),
    ):
        add_command(group, name, command)


def _level(one: LevelJson) -> str:
    price, amount = render(one.price_ueur, PRICE), render(one.amount_uent, ENT)
    return f"{price:<20} {amount} in {one.orders} orders"


def _moment(ledger_ms: int) -> str:
    return datetime.fromtimestamp(ledger_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M")
