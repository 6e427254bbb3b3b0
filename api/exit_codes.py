"""What a command says by its exit code. Written down once; scripts and cron rely on it."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1
    """Anything that no other code says."""

    USAGE = 2
    """Arguments that the command does not understand."""

    NOT_RUNNING = 3
    """Nothing runs there, or it cannot be reached."""

    UNHEALTHY = 4
    """Running, but unhealthy or not synced."""

    REFUSED = 5
    """Refused by the ledger: invalid, a conflict, too little money; a proof that does not hold."""

    NOT_FOUND = 6
    NOT_AUTHORISED = 7
    """A wrong passphrase, a key that may not do this, a file that others can read."""

    TIMED_OUT = 8
    """What was waited for did not come in time."""

    BAD_CONFIGURATION = 9
    STORAGE = 10
    """Storage is damaged, locked or cannot be written."""

    INTERRUPTED = 130
    """Ctrl-C."""
