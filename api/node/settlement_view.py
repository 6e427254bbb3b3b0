"""Where the settlements of a node stand, as operators see it: a health check and metrics."""

from api.http.checks import SettlingState
from api.http.exposition import Family, Sample, gauge, labelled
from api.node.metrics import MS_PER_S
from edge.settlement.reporting import Refusal
from edge.settlement.settling import SettlingStand
from tangle.address import Address, encode_address


def settling_state(stand: SettlingStand) -> SettlingState:
    """Return what of the settlements needs somebody to look."""
    refused = [
        f"unit {encode_address(unit)}, {_said(one.refusal)}"
        for unit, one in sorted(stand.units.items())
        if one.refusal is not None
    ]
    unreachable = [
        f"unit {encode_address(unit)} is settled at {encode_address(settler)}, which is no peer"
        " or does not settle it"
        for unit, settler in stand.unreachable
    ]
    return SettlingState(tuple(refused), tuple(unreachable))


def settlement_families(stand: SettlingStand) -> list[Family]:
    """Return the metrics of settlements."""
    units = {encode_address(unit): one for unit, one in sorted(stand.units.items())}
    through = {name: one.through_ms / MS_PER_S for name, one in units.items()}
    waiting = {name: one.waiting for name, one in units.items()}
    missing = {name: one.missing for name, one in units.items()}
    refused = tuple(
        Sample(1, (("unit", name), ("reason", one.refusal.reason.value)))
        for name, one in units.items()
        if one.refusal is not None
    )
    return [
        gauge(
            "settlement_homes_timestamp_seconds",
            "Ledger time up to which the homes here are netted.",
            stand.through_ms / MS_PER_S,
        ),
        labelled(
            "settlement_unit_timestamp_seconds",
            "gauge",
            "Ledger time up to which a unit is settled.",
            "unit",
            through,
        ),
        labelled("settlement_reports_waiting", "gauge", "Not applied yet.", "unit", waiting),
        labelled(
            "settlement_missing_homes",
            "gauge",
            "Home edges that the last period was settled without.",
            "unit",
            missing,
        ),
        Family("settlement_refused", "gauge", "1 for a unit that waits for it.", refused),
        gauge("settlement_owed_periods", "Kept for settling edges.", stand.owed),
        labelled(
            "settlement_frames_total", "counter", "Of slot sums.", "event", dict(stand.counts)
        ),
    ]


def _said(refusal: Refusal) -> str:
    report = refusal.report
    member = encode_address(Address(report.member))
    return (
        f"report {report.number} ({report.kind}, {report.energy_wh} Wh, member {member}):"
        f" {refusal.reason.value}"
    )
