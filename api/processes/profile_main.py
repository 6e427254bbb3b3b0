"""Computes the household profile of synthetic homes: `python -m api.processes.profile_main FILE`.

A process of its own, because the libraries it needs take longer to import than to run.
"""

import sys
from pathlib import Path

from api.settings.private_files import create_file
from devices.sources.household import encode_profile
from devices.sources.profile import household_profile


def main(arguments: list[str]) -> None:
    """Write the profile to the file that the one argument names. Raises `CommandError`."""
    create_file(Path(arguments[0]), encode_profile(household_profile()))


if __name__ == "__main__":
    main(sys.argv[1:])
