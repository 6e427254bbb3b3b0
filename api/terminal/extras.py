"""Libraries that not every installation has: found when they are needed, named when missing."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Final

from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode

LAB: Final = "lab"
"""The extra of this distribution that brings what only the laboratory needs."""


def is_there(library: str) -> bool:
    """Tell whether a library is installed, without loading it."""
    return find_spec(library) is not None


def module_over(library: str, module: str) -> ModuleType:
    """Return one of our modules that imports `library`.

    Raises:
        CommandError: The library is not installed; the message says what brings it.
    """
    if not is_there(library):
        raise CommandError(
            Failure(
                FailureCode.NOT_INSTALLED,
                ExitCode.USAGE,
                f"{library} is not installed",
                "it is needed for this alone, so it is no part of a plain installation",
                f"pip install 'tanglewatt[{LAB}]', or leave out the option that needs it",
            )
        )
    return import_module(module)
