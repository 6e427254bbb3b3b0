"""How a community fares, from what its nodes answer: the hourly line of `up`. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from api.http.energy_forms import EnergyJson, SettledJson, SettlementJson, TradeJson
from energy.units import ENERGY, ENT, PPM, PRICE, render


@dataclass(frozen=True, slots=True)
class Figures:
    """One community at one moment. Energy is what was settled so far, in Wh."""

    ledger_time_ms: int
    """Of the last milestone."""

    settled_through_ms: int | None
    """Up to when energy is counted: of several nodes, what all have settled."""

    produced_wh: int | None
    """By all roofs, as `used_wh` by all homes; `None` if roofs have no meters."""

    used_wh: int | None
    charged_wh: int
    """Of surplus, into batteries, as `drawn_wh` out of them."""

    drawn_wh: int
    grid_wh: int
    """What the community took from the grid, as `feed_in_wh` what it gave."""

    feed_in_wh: int
    stored_wh: int
    capacity_wh: int
    ent_uent: int
    gap_uent: int
    rate_ppm: int
    trades: int
    """As far as the node remembers."""

    traded_uent: int
    last_price_ueur: int | None
    sessions: int
    most_sessions: int
    """The most that were seen open at once."""

    trade_index: int
    """Milestone of the last trade that is counted; 0 for none."""

    @property
    def self_sufficiency_ppm(self) -> int | None:
        """Which part of what was used did not come from the grid; `None` if that is not known."""
        if self.used_wh is None or self.used_wh <= 0:
            return None
        return max(0, (self.used_wh - self.grid_wh) * PPM // self.used_wh)

    @property
    def is_alive(self) -> bool:
        """Whether energy was charged and drawn, tokens were traded and sessions opened."""
        return all((self.charged_wh, self.drawn_wh, self.trades, self.most_sessions))

    def line(self) -> str:
        """Return one line for people."""
        moment = datetime.fromtimestamp(self.ledger_time_ms // 1_000, UTC)
        price = (
            "" if self.last_price_ueur is None else f" at {_millionths(self.last_price_ueur)} EUR"
        )
        tokens = (
            f"{self.ent_uent / 1_000_000:.1f} ENT, gap {_millionths(self.gap_uent)},"
            f" rate {_millionths(self.rate_ppm)}"
        )
        parts = [
            self._energy(),
            tokens,
            f"{self.trades} trades{price}",
            f"{self.sessions} sessions",
        ]
        return f"{moment:%d %b %H:%M}  {' · '.join(parts)}"

    def _energy(self) -> str:
        if self.settled_through_ms is None:
            return "nothing settled yet"
        share_ppm = self.self_sufficiency_ppm
        own = "" if share_ppm is None else f" ({share_ppm / 10_000:.0f} % own)"
        produced = "" if self.produced_wh is None else f"produced {_kwh(self.produced_wh)}, "
        used = "" if self.used_wh is None else f"used {_kwh(self.used_wh)}{own}, "
        return (
            f"kWh: {produced}{used}charged {_kwh(self.charged_wh)}, drawn {_kwh(self.drawn_wh)},"
            f" stored {_kwh(self.stored_wh)}, grid {_kwh(self.grid_wh)},"
            f" fed in {_kwh(self.feed_in_wh)}"
        )


def figures_of(
    before: Figures | None,
    energy: EnergyJson,
    settlements: Sequence[SettlementJson],
    trades: Sequence[TradeJson],
    *,
    has_roofs: bool,
) -> Figures:
    """Return how the community fares now.

    Args:
        before: What was seen last, `None` at first.
        energy: Of the ledger.
        settlements: Of the nodes that settle, each of its own homes and units.
        trades: All that are younger than those counted in `before`.
        has_roofs: Whether production is metered.
    """
    settled = _settled_by_all(settlements)

    def total(name: str) -> int:
        return sum(getattr(one, name) for one in settled)

    charged_wh, drawn_wh = total("charged_wh"), total("drawn_wh")
    sessions = sum(unit.sessions for unit in energy.units)
    newest = max(trades, key=lambda one: one.index, default=None)
    return Figures(
        ledger_time_ms=energy.timestamp_ms,
        settled_through_ms=settled[0].through_ms if settled else None,
        produced_wh=total("produced_wh") if has_roofs else None,
        used_wh=total("used_wh") if has_roofs else None,
        charged_wh=charged_wh + total("unit_grid_wh"),
        drawn_wh=drawn_wh + total("unit_feed_in_wh"),
        grid_wh=total("import_wh") - drawn_wh + total("unit_grid_wh"),
        feed_in_wh=total("export_wh") - charged_wh + total("unit_feed_in_wh"),
        stored_wh=energy.total_energy_wh,
        capacity_wh=sum(unit.capacity_wh for unit in energy.units),
        ent_uent=energy.total_ent_uent,
        gap_uent=energy.gap_uent,
        rate_ppm=energy.rate_ppm,
        trades=len(trades) + (before.trades if before else 0),
        traded_uent=sum(one.amount_uent for one in trades) + (before.traded_uent if before else 0),
        last_price_ueur=trades[0].price_ueur
        if trades
        else (before.last_price_ueur if before else None),
        sessions=sessions,
        most_sessions=max(sessions, before.most_sessions if before else 0),
        trade_index=newest.index if newest else (before.trade_index if before else 0),
    )


def _settled_by_all(settlements: Sequence[SettlementJson]) -> Sequence[SettledJson]:
    """Return what each node had settled by the last period that all have; nothing before that."""
    told = [{one.through_ms: one for one in node.periods} for node in settlements if node.is_shown]
    common = set.intersection(*(set(one) for one in told)) if told else set()
    return [one[max(common)] for one in told] if common else []


def as_json(figures: Figures) -> Mapping[str, object]:
    """Return figures for programs: the fields, and the share of what was used that is own."""
    fields = asdict(figures)
    del fields["trade_index"]
    return {**fields, "self_sufficiency_ppm": figures.self_sufficiency_ppm}


def summary(figures: Figures) -> str:
    """Return what is said at the end."""
    made = (
        "" if figures.produced_wh is None else f"{render(figures.produced_wh, ENERGY)} produced, "
    )
    price = figures.last_price_ueur
    last = "" if price is None else f", last at {render(price, PRICE)}"
    return (
        f"energy: {made}{render(figures.charged_wh, ENERGY)} charged,"
        f" {render(figures.drawn_wh, ENERGY)} drawn;"
        f" {figures.trades} trades of {render(figures.traded_uent, ENT)}{last};"
        f" up to {figures.most_sessions} sessions at once"
    )


def _kwh(wh: int) -> str:
    return f"{wh / 1_000:.1f}"


def _millionths(amount: int) -> str:
    return f"{amount / 1_000_000:.3f}" if amount else "0"
