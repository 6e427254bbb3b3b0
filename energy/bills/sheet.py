"""What people read of a bill: words and numbers, the same on every kind of paper."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from energy.bills.days import day_text
from energy.bills.documents import Bill, Content, Preview, bill_digest
from energy.bills.lines import Line, LineKind
from energy.units import ENERGY, PPM, UEUR_PER_EUR, WH_PER_KWH, render
from tangle.address import Address, encode_address

_WORDS: Final[dict[LineKind, str]] = {
    "from_ctt": "From energy accounts",
    "from_storage": "From storage",
    "grid": "From the grid",
    "feed_in": "Fed in",
    "delivery": "Delivery",
    "rental": "Meter rental",
    "tax": "Tax",
    "discount": "Discount: fraction of a cent",
}
_ENERGY: Final = ("from_ctt", "from_storage", "grid", "feed_in")
_PERCENT: Final = PPM // 100
_MAX_NAMED_DAYS: Final = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a bill, in words."""

    what: str
    days: str
    quantity: str
    price: str
    amount: str
    """EUR."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One document, in words."""

    title: str
    facts: tuple[tuple[str, str], ...]
    """Name and value."""

    rows: tuple[Row, ...]
    total_name: str
    total: str
    """EUR."""

    notes: tuple[str, ...]


def preview_sheet(previewed: Preview) -> Sheet:
    """Return what people read of a preview."""
    missing = previewed.missing_days
    notes = []
    if missing:
        named = ", ".join(day_text(day) for day in missing[:_MAX_NAMED_DAYS])
        more = ", …" if len(missing) > _MAX_NAMED_DAYS else ""
        notes.append(
            f"Nothing is known of {len(missing)} days ({named}{more}): their energy is not in here,"
            " and no bill can be made."
        )
    return _sheet("Preview of a bill", (), previewed.content, ("No bill yet.", *notes))


def bill_sheet(bill: Bill) -> Sheet:
    """Return what people read of a final document."""
    title = f"Bill {bill.number}"
    facts = [("Issued", _moment(bill.issued_at_ms)), ("Digest", bill_digest(bill).hex())]
    if bill.credits is not None:
        title = f"Credit note {bill.number} for bill {bill.credits.number}"
        facts.append((f"Digest of bill {bill.credits.number}", bill.credits.digest.hex()))
    return _sheet(title, tuple(facts), bill.content, ())


def money(amount_ueur: int) -> str:
    """Return an amount in EUR with at least two decimals, exact."""
    whole, rest = divmod(abs(amount_ueur), UEUR_PER_EUR)
    decimals = f"{rest:06d}"
    sign = "-" if amount_ueur < 0 else ""
    return f"{sign}{whole}.{decimals[:2]}{decimals[2:].rstrip('0')}"


def _sheet(
    title: str, facts: tuple[tuple[str, str], ...], content: Content, notes: tuple[str, ...]
) -> Sheet:
    parties = content.parties
    last = day_text(content.after_day - 1)
    estimated_wh = sum(line.estimated_wh for line in content.lines)
    if estimated_wh:
        notes = (*notes, f"{render(estimated_wh, ENERGY)} are of days not wholly measured.")
    return Sheet(
        title,
        (
            ("Period", f"{day_text(content.first_day)} to {last}"),
            ("Issuer", encode_address(Address(parties.issuer))),
            ("Customer", encode_address(Address(parties.customer))),
            ("Network", parties.network.hex()),
            *facts,
        ),
        tuple(_row(line) for line in content.lines),
        "Total due" if content.total_ueur >= 0 else "Total in your favour",
        money(abs(content.total_ueur)),
        notes,
    )


def _row(line: Line) -> Row:
    days = day_text(line.first_day)
    if line.after_day - line.first_day > 1:
        days += f" to {day_text(line.after_day - 1)}"
    quantity, price = _measured(line)
    return Row(_WORDS[line.kind], days, quantity, price, money(line.amount_ueur))


def _measured(line: Line) -> tuple[str, str]:
    """Return quantity and price of a line in plain units."""
    if line.kind in _ENERGY:
        return f"{_kwh(line.quantity)} kWh", f"{money(line.price)} per kWh"
    match line.kind:
        case "delivery" | "rental":
            quantity = f"{line.quantity} of {line.month_days} days"
            return quantity, f"{money(line.price)} a month"
        case "tax":
            whole, rest = divmod(line.price, _PERCENT)
            decimals = f".{rest:04d}".rstrip("0") if rest else ""
            return f"of {money(line.quantity)}", f"{whole}{decimals} %"
        case _:
            return "", ""


def _kwh(energy_wh: int) -> str:
    """Return Wh as kWh with two decimals at least."""
    whole, rest = divmod(energy_wh, WH_PER_KWH)
    decimals = f"{rest:03d}"
    return f"{whole}.{decimals[:2]}{decimals[2:].rstrip('0')}"


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
