import subprocess
import sys
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.sources.household import (
    DAY_MS,
    DAYS,
    QUARTER_MS,
    QUARTERS_PER_DAY,
    WHOLE_PPB,
    HouseholdProfile,
    decode_profile,
    encode_profile,
    share_ppb,
)
from devices.sources.profile import household_profile
from tangle.errors import MalformedBytesError
from tests.devices.homes import flat_profile

NUMBERED = HouseholdProfile(tuple(index // QUARTERS_PER_DAY for index in range(DAYS * 96)))
"""Each quarter hour holds the number of its day in the profile's year."""


def midnight_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000


def test_the_profile_of_a_household_looks_like_one() -> None:
    shares = household_profile().shares_ppb

    average = WHOLE_PPB / len(shares)
    by_hour = [
        sum(sum(shares[at::96]) for at in range(4 * hour, 4 * hour + 4)) for hour in range(24)
    ]
    winter, summer = sum(shares[: 31 * 96]), sum(shares[181 * 96 : 212 * 96])
    assert sum(shares) == WHOLE_PPB
    assert 0.3 * average < min(shares) < max(shares) < 3 * average
    assert min(by_hour) in by_hour[0:6]
    assert max(by_hour) in by_hour[11:21]
    assert winter > 1.1 * summer


def test_a_stored_profile_comes_back() -> None:
    profile = flat_profile()

    assert decode_profile(encode_profile(profile)) == profile
    with pytest.raises(MalformedBytesError):
        decode_profile(encode_profile(HouseholdProfile(profile.shares_ppb[1:])))


@given(st.dates(date(1971, 1, 1), date(2100, 12, 31)))
def test_any_day_takes_its_profile_from_the_same_weekday_nearby(day: date) -> None:
    start_ms = midnight_ms(day)

    profile_day = round(share_ppb(NUMBERED, start_ms, start_ms + QUARTER_MS))

    distance = abs(profile_day - (day.timetuple().tm_yday - 1))
    assert profile_day % 7 == day.weekday(), "day 0 of the profile's year is a Monday"
    assert distance <= 6


@given(
    st.integers(0, 400 * DAY_MS), st.lists(st.integers(1, 3 * QUARTER_MS), min_size=1, max_size=9)
)
def test_the_shares_of_adjacent_intervals_add_up(start_ms: int, lengths_ms: list[int]) -> None:
    profile, end_ms, total = NUMBERED, start_ms, 0.0
    for length_ms in lengths_ms:
        total += share_ppb(profile, end_ms, end_ms + length_ms)
        end_ms += length_ms

    assert total == pytest.approx(share_ppb(profile, start_ms, end_ms))


def test_a_meter_reads_a_profile_without_the_libraries_that_made_it() -> None:
    script = (
        "import sys, devices.shell, devices.sources.synthetic, devices.sources.recorded;"
        "print({'pandas', 'numpy', 'demandlib', 'amqtt'} & set(sys.modules))"
    )

    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert printed.stdout.strip() == "set()"
