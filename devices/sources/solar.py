"""What the sun gives a roof: its position, a cloudless sky, clouds, and a tilted panel.

Sources: J. W. Spencer, "Fourier series representation of the position of the sun", 1971
(declination, equation of time, distance); B. Haurwitz, "Insolation in relation to cloudiness and
cloud density", 1945 (cloudless global irradiance); D. G. Erbs and others, "Estimation of the
diffuse radiation fraction", 1982 (diffuse part); B. Y. H. Liu and R. C. Jordan, 1963 (isotropic
diffuse light on a tilted plane). Good to a few per cent: for demonstrations, not for yield reports.
"""

from dataclasses import dataclass
from datetime import date
from math import cos, exp, pi, radians, sin
from typing import Final

SOLAR_CONSTANT_W_M2: Final = 1_367.0
STANDARD_W_M2: Final = 1_000.0
"""Irradiance at which a panel gives its peak power."""

PERFORMANCE_RATIO: Final = 0.82
"""What heat, wires and the inverter leave of it."""

GROUND_ALBEDO: Final = 0.2
MIN_COS_ZENITH: Final = 0.087
"""Sun 5° high: below, dividing by the cosine would make a beam out of rounding."""

_DAY_MS: Final = 86_400_000
_HOUR_MS: Final = 3_600_000
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_CALENDAR_DAYS: Final = 146_097
"""After 400 years the calendar begins anew; a scaled clock may pass the last year of `date`."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where homes stand."""

    latitude_mdeg: int
    """Thousandths of a degree, north positive."""

    longitude_mdeg: int
    """Thousandths of a degree, east positive."""

    utc_offset_ms: int
    """Local standard time − UTC. Daylight saving time is not modelled."""


@dataclass(frozen=True, slots=True)
class Sun:
    """Direction of the sun as a unit vector of a site, and its distance."""

    east: float
    north: float
    up: float
    """Cosine of the zenith angle; not positive at night."""

    extraterrestrial_w_m2: float
    """On a plane that faces the sun, outside the atmosphere."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A roof's panels."""

    peak_w: int
    tilt_deg: int
    """0 is flat, 90 a wall."""

    azimuth_deg: int
    """Where it faces: 90 east, 180 south, 270 west."""


def sun_at(moment_ms: int, site: Site) -> Sun:
    """Return where the sun stands at `moment_ms` (UTC), within half a degree (Spencer 1971)."""
    days, of_day_ms = divmod(moment_ms, _DAY_MS)
    of_year = date.fromordinal(_EPOCH_ORDINAL + days % _CALENDAR_DAYS).timetuple().tm_yday - 1
    gamma = 2 * pi * (of_year + of_day_ms / _DAY_MS) / 365
    declination = (
        0.006918
        - 0.399912 * cos(gamma)
        + 0.070257 * sin(gamma)
        - 0.006758 * cos(2 * gamma)
        + 0.000907 * sin(2 * gamma)
        - 0.002697 * cos(3 * gamma)
        + 0.00148 * sin(3 * gamma)
    )
    equation_minutes = 229.18 * (
        0.000075
        + 0.001868 * cos(gamma)
        - 0.032077 * sin(gamma)
        - 0.014615 * cos(2 * gamma)
        - 0.040849 * sin(2 * gamma)
    )
    distance_factor = (
        1.00011
        + 0.034221 * cos(gamma)
        + 0.00128 * sin(gamma)
        + 0.000719 * cos(2 * gamma)
        + 0.000077 * sin(2 * gamma)
    )
    longitude_hours = site.longitude_mdeg / 15_000
    solar_hours = of_day_ms / _HOUR_MS + longitude_hours + equation_minutes / 60
    angle = radians(15 * (solar_hours - 12))
    latitude = radians(site.latitude_mdeg / 1_000)
    return Sun(
        east=-cos(declination) * sin(angle),
        north=cos(latitude) * sin(declination) - sin(latitude) * cos(declination) * cos(angle),
        up=sin(latitude) * sin(declination) + cos(latitude) * cos(declination) * cos(angle),
        extraterrestrial_w_m2=SOLAR_CONSTANT_W_M2 * distance_factor,
    )


def cloudless_w_m2(sun: Sun) -> float:
    """Return global irradiance on the ground under a cloudless sky (Haurwitz 1945)."""
    if sun.up <= 0:
        return 0.0
    return 1_098.0 * sun.up * exp(-0.057 / sun.up)


def diffuse_fraction(clearness: float) -> float:
    """Return the diffuse part of global irradiance (Erbs 1982).

    Args:
        clearness: Global irradiance over its extraterrestrial value on the same plane.
    """
    if clearness <= 0.22:
        return 1 - 0.09 * clearness
    if clearness > 0.8:
        return 0.165
    return (
        0.9511
        - 0.1604 * clearness
        + 4.388 * clearness**2
        - 16.638 * clearness**3
        + 12.336 * clearness**4
    )


def panel_power_w(panel: Panel, sun: Sun, clear_sky_index: float) -> float:
    """Return what `panel` gives, at most its peak power.

    Args:
        panel: Its peak power scales the result.
        sun: Where the sun stands.
        clear_sky_index: Global irradiance over that of a cloudless sky: 1 without clouds.
    """
    cloudless = cloudless_w_m2(sun)
    if cloudless == 0:
        return 0.0
    ground = cloudless * clear_sky_index
    diffuse = ground * diffuse_fraction(ground / (sun.extraterrestrial_w_m2 * sun.up))
    tilt, azimuth = radians(panel.tilt_deg), radians(panel.azimuth_deg)
    facing = (
        sun.east * sin(tilt) * sin(azimuth)
        + sun.north * sin(tilt) * cos(azimuth)
        + sun.up * cos(tilt)
    )
    beam = (ground - diffuse) * max(facing, 0.0) / max(sun.up, MIN_COS_ZENITH)
    sky = diffuse * (1 + cos(tilt)) / 2
    reflected = ground * GROUND_ALBEDO * (1 - cos(tilt)) / 2
    power_w = panel.peak_w * PERFORMANCE_RATIO * (beam + sky + reflected) / STANDARD_W_M2
    return min(power_w, float(panel.peak_w))
