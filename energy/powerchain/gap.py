"""The gap between tokens and energy, and the cost that closes it. Pure arithmetic.

The gap is d = ENT in circulation (µENT) − 1,000 · Wh stored. While it is positive, tokens have no
energy behind them: minting gives less and burning takes more, at a cost rate that stays as it was
when the gap last grew, so that the gap closes linearly. While it is negative, energy has no tokens
before it, and cost turns into bonus.

Source: E. Kalyvas, PowerChain (2024), formulas 4.1 to 4.4; ENERGY §2.
"""

from dataclasses import dataclass
from typing import Final

from energy.parameters import EnergyParameters
from energy.units import PPM, UENT_PER_WH


@dataclass(frozen=True, slots=True)
class Gap:
    """Where tokens and energy stand."""

    gap_uent: int
    """d: tokens without energy; negative for energy without tokens."""

    rate_ppm: int
    """r: cost of one kilowatt-hour in millionths of an ENT, uncapped. 0 exactly when d is 0."""


CLOSED: Final = Gap(0, 0)


@dataclass(frozen=True, slots=True)
class Part:
    """What minting or burning for one amount of energy at one rate does."""

    amount_uent: int
    """Tokens minted or burned."""

    cost_uent: int
    """By which that differs from par, against the member; a bonus is negative."""

    gap: Gap
    """Afterwards."""


def rate_of(gap_uent: int, cost_ppm: int) -> int:
    """Return r = ⌈C · |d| / 10⁶⌉, ppm of one ENT for each kilowatt-hour: R = C · |D|.

    Rounded up, so that no gap is without a rate that closes it.
    """
    return -(-cost_ppm * abs(gap_uent) // PPM)


def moved(gap: Gap, gap_uent: int, cost_ppm: int) -> Gap:
    """Return the gap after it went to `gap_uent`.

    Closed, its rate is 0; grown or on the other side of zero, it is computed anew; else it
    stays, and the gap goes on closing linearly.
    """
    if gap_uent == 0:
        return CLOSED
    has_grown = abs(gap_uent) > abs(gap.gap_uent)
    if has_grown or (gap_uent < 0) != (gap.gap_uent < 0):
        return Gap(gap_uent, rate_of(gap_uent, cost_ppm))
    return Gap(gap_uent, gap.rate_ppm)


def minted(gap: Gap, energy_wh: int, rules: EnergyParameters) -> Part:
    """Return what `energy_wh` booked are worth: 1 − min(r, M) in deficit, 1 + min(r, M) else."""
    rate_ppm = min(gap.rate_ppm, rules.mint_cap_ppm)
    cost_uent = _cost(gap, energy_wh, rate_ppm, rules)
    amount_uent = UENT_PER_WH * energy_wh - cost_uent
    return Part(amount_uent, cost_uent, _closer(gap, cost_uent, rules))


def burned(gap: Gap, energy_wh: int, rules: EnergyParameters) -> Part:
    """Return what consuming `energy_wh` takes: 1 + min(r, B) in deficit, 1 − min(r, B) else."""
    cost_uent = _cost(gap, energy_wh, min(gap.rate_ppm, rules.burn_cap_ppm), rules)
    return _burned(gap, energy_wh, cost_uent, rules)


def burned_in_session(
    gap: Gap, energy_wh: int, rules: EnergyParameters, *, rate_ppm: int, spare_uent: int
) -> Part:
    """Return what consuming `energy_wh` in a session takes.

    Args:
        gap: Before it.
        energy_wh: Of those that the session still holds.
        rules: Of this milestone.
        rate_ppm: That the session was opened at. It applies only in deficit; a bonus is that
            of the moment.
        spare_uent: What the session holds above par: its cost is never more.
    """
    if gap.gap_uent <= 0:
        return burned(gap, energy_wh, rules)
    cost_uent = min(_cost(gap, energy_wh, rate_ppm, rules), spare_uent)
    return _burned(gap, energy_wh, cost_uent, rules)


def gone(gap: Gap, energy_wh: int, rules: EnergyParameters) -> Gap:
    """Return the gap after energy left without tokens (or, negative, came without any)."""
    return moved(gap, gap.gap_uent + UENT_PER_WH * energy_wh, rules.cost_ppm)


def opening_rate(gap: Gap, rules: EnergyParameters) -> int:
    """Return 1 + this, in ppm: the price at which energy is set aside. Never less than par."""
    return min(gap.rate_ppm, rules.burn_cap_ppm) if gap.gap_uent > 0 else 0


def energy_for(amount_uent: int, rate_ppm: int) -> int:
    """Return the whole Wh that tokens buy at 1 + rate, rounded down."""
    return amount_uent * (PPM // UENT_PER_WH) // (PPM + rate_ppm)


def _cost(gap: Gap, energy_wh: int, rate_ppm: int, rules: EnergyParameters) -> int:
    """Return the fee of a part, negative for a bonus: never beyond closing the gap.

    Rounded up, fee and bonus alike: a part moves the gap as soon as any rate applies.
    """
    part_uent = min(abs(gap.gap_uent), -(-energy_wh * rate_ppm // UENT_PER_WH))
    if gap.gap_uent >= 0:
        return part_uent
    return -part_uent if rules.has_bonus else 0


def _burned(gap: Gap, energy_wh: int, cost_uent: int, rules: EnergyParameters) -> Part:
    amount_uent = UENT_PER_WH * energy_wh + cost_uent
    return Part(amount_uent, cost_uent, _closer(gap, cost_uent, rules))


def _closer(gap: Gap, cost_uent: int, rules: EnergyParameters) -> Gap:
    return moved(gap, gap.gap_uent - cost_uent, rules.cost_ppm)
