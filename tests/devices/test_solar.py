from datetime import UTC, datetime
from math import asin, atan2, degrees

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.sources.solar import (
    Panel,
    Site,
    cloudless_w_m2,
    diffuse_fraction,
    panel_power_w,
    sun_at,
)

HOUR_MS = 3_600_000
SITE = Site(50_000, 10_000, HOUR_MS)
ROOF = Panel(peak_w=5_000, tilt_deg=35, azimuth_deg=180)


def moment_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000


@pytest.mark.parametrize(
    ("when", "elevation_deg"),
    [
        # at solar noon the sun stands at 90° − latitude + declination
        pytest.param("2024-06-20T11:22", 90 - 50 + 23.44, id="summer solstice"),
        pytest.param("2024-12-21T11:18", 90 - 50 - 23.44, id="winter solstice"),
        pytest.param("2024-03-20T11:27", 90 - 50, id="equinox"),
    ],
)
def test_the_sun_stands_highest_at_solar_noon(when: str, elevation_deg: float) -> None:
    noon = moment_ms(when)

    sun = sun_at(noon, SITE)

    assert degrees(asin(sun.up)) == pytest.approx(elevation_deg, abs=0.6)
    assert degrees(atan2(sun.east, sun.north)) % 360 == pytest.approx(180, abs=1)
    assert sun_at(noon - HOUR_MS, SITE).up < sun.up > sun_at(noon + HOUR_MS, SITE).up


def test_the_sun_rises_in_the_east_and_sets_in_the_west() -> None:
    assert sun_at(moment_ms("2024-03-20T06:00"), SITE).east > 0.9
    assert sun_at(moment_ms("2024-03-20T17:00"), SITE).east < -0.9


@given(st.integers(0, 2_000_000_000_000), st.integers(-90_000, 90_000))
def test_the_direction_of_the_sun_is_a_unit_vector(now_ms: int, latitude_mdeg: int) -> None:
    sun = sun_at(now_ms, Site(latitude_mdeg, 10_000, 0))

    assert sun.east**2 + sun.north**2 + sun.up**2 == pytest.approx(1)
    assert 1_320 < sun.extraterrestrial_w_m2 < 1_420


def test_a_cloudless_noon_in_june_is_bright_and_midnight_is_dark() -> None:
    noon, midnight = (
        sun_at(moment_ms("2024-06-20T11:00"), SITE),
        sun_at(moment_ms("2024-06-20T23:00"), SITE),
    )

    assert 850 < cloudless_w_m2(noon) < 950
    assert cloudless_w_m2(midnight) == 0
    assert panel_power_w(ROOF, midnight, 1.0) == 0
    assert 3_400 < panel_power_w(ROOF, noon, 1.0) < 4_500


def test_the_diffuse_part_falls_as_the_sky_clears() -> None:
    clearness = [0.0, 0.2, 0.22, 0.3, 0.5, 0.7, 0.79, 0.9]

    fractions = [diffuse_fraction(part) for part in clearness]

    assert fractions[0] == 1
    assert fractions[-1] == 0.165
    assert fractions[:-1] == sorted(fractions[:-1], reverse=True)


def test_a_roof_gives_most_when_the_sun_faces_it() -> None:
    morning = sun_at(moment_ms("2024-06-20T06:00"), SITE)
    east, west = Panel(5_000, 35, 90), Panel(5_000, 35, 270)

    assert panel_power_w(east, morning, 1.0) > 3 * panel_power_w(west, morning, 1.0)


def test_clouds_take_power_away() -> None:
    noon = sun_at(moment_ms("2024-06-20T11:00"), SITE)

    assert panel_power_w(ROOF, noon, 0.2) < 0.35 * panel_power_w(ROOF, noon, 1.0)


def test_no_roof_exceeds_its_peak_power() -> None:
    overhead = sun_at(moment_ms("2024-03-20T12:07"), Site(0, 0, 0))

    assert panel_power_w(Panel(1_000, 0, 180), overhead, 2.0) == 1_000
