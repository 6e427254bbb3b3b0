"""Computes the household profile with demandlib. Slow to import (pandas): no meter does.

Source: BDEW standard load profile H25 (household, 2025 revision of H0, with its dynamisation)
as implemented by demandlib.
"""

import warnings
from itertools import accumulate, pairwise

import pandas as pd
from demandlib.bdew import H25

from devices.sources.household import (
    DAYS,
    PROFILE_YEAR,
    QUARTERS_PER_DAY,
    WHOLE_PPB,
    HouseholdProfile,
)


def household_profile() -> HouseholdProfile:
    """Return the profile of a household, a second's work."""
    quarters = pd.date_range(f"{PROFILE_YEAR}-01-01", periods=DAYS * QUARTERS_PER_DAY, freq="15min")
    with warnings.catch_warnings():
        # demandlib still says `inplace`, which newer pandas announces to drop
        warnings.simplefilter("ignore", DeprecationWarning)
        powers = [float(power) for power in H25(quarters)]
    whole = sum(powers)
    # rounding the running sum, not the parts, keeps the sum of the parts exact
    marks = [round(WHOLE_PPB * running / whole) for running in accumulate(powers, initial=0.0)]
    return HouseholdProfile(tuple(after - before for before, after in pairwise(marks)))
