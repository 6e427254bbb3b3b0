"""How a command fails: what happened, why, what to do next, and a code that the docs explain."""

from dataclasses import dataclass
from enum import StrEnum

from typing_extensions import override

from api.exit_codes import ExitCode
from tangle.errors import TanglewattError


class FailureCode(StrEnum):
    """Every failure the commands know by name; each is an anchor in the docs."""

    UNKNOWN_KEY = "TW-CFG-001"
    BAD_VALUE = "TW-CFG-002"
    BAD_TOML = "TW-CFG-003"
    UNREADABLE_CONFIGURATION = "TW-CFG-004"
    BAD_GENESIS = "TW-CFG-005"
    BAD_RECORDING = "TW-CFG-006"
    OTHER_PLAN = "TW-CFG-007"
    BAD_SCENARIO = "TW-CFG-008"
    FOREIGN_FOLDER = "TW-DIR-001"
    NO_NETWORK = "TW-DIR-002"
    NOT_WRITABLE = "TW-DIR-003"
    NO_LOCK = "TW-DIR-004"
    BAD_STORAGE = "TW-DIR-005"
    BACKUP_REFUSED = "TW-DIR-006"
    ALREADY_RUNNING = "TW-RUN-001"
    DID_NOT_START = "TW-RUN-002"
    DID_NOT_STOP = "TW-RUN-003"
    NOT_SETTLED = "TW-RUN-004"
    NOT_EQUAL = "TW-RUN-005"
    PORT_IN_USE = "TW-NET-001"
    UNREACHABLE = "TW-NET-002"
    UNEXPECTED_ANSWER = "TW-NET-003"
    BAD_KEY_FILE = "TW-KEY-001"
    NO_PASSPHRASE = "TW-KEY-002"
    BAD_CERTIFICATE = "TW-KEY-003"
    REFUSED = "TW-LED-001"
    NOT_CONFIRMED = "TW-LED-002"
    NOT_FOUND = "TW-LED-003"
    NO_RECOVERY = "TW-LED-004"
    BAD_PROOF = "TW-LED-005"
    BAD_SNAPSHOT = "TW-LED-006"
    NOT_BALANCED = "TW-LED-007"
    NOT_COMPUTABLE = "TW-LED-008"
    BAD_ARGUMENT = "TW-ARG-001"
    NOT_INSTALLED = "TW-ARG-002"


@dataclass(frozen=True, slots=True)
class Failure:
    """What a person needs when a command cannot go on."""

    code: FailureCode
    exit_code: ExitCode
    what: str
    """One line: what failed, with the value."""

    why: str
    """One line: the rule, or the cause."""

    next_step: str
    """One line: what to do now."""


class CommandError(TanglewattError):
    """A command cannot go on. Raised anywhere in `api/`, shown once, in `talk.py`."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.what)
        self.failure = failure

    @override
    def __str__(self) -> str:
        return f"{self.failure.code}: {self.failure.what}: {self.failure.why}"
