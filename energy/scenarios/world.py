"""The network of a scenario: keys from names, and the genesis that its file describes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from energy.forms.fields import Field as Form
from energy.forms.fields import Known, integer, member, quantity, values
from energy.forms.operations import METER, operation
from energy.queries import Names
from energy.scenarios.file import COMMIT, Act, Scenario
from energy.units import DURATION
from tangle.address import Address, address_of
from tangle.errors import InvalidError
from tangle.hashing import digest, domain
from tangle.keys import SigningKey
from tangle.transaction import Payload, ReadingBatch, TransactionId

_DOMAIN: Final = domain("scenario.actor")

_COMMIT: Final = (
    Form("meter", "meter", member, role=METER),
    Form("first", "first_sequence", integer),
    Form("last", "last_sequence", integer),
)


def actor_key(name: str) -> SigningKey:
    """Return the key of who is called so: anybody can compute it, it guards nothing."""
    return SigningKey(digest(_DOMAIN + name.encode("ascii")))


@dataclass(frozen=True, slots=True)
class Cast:
    """Everyone who acts or is named, with keys and addresses."""

    keys: Mapping[str, SigningKey]
    addresses: Mapping[str, Address]
    names: Names


def cast(scenario: Scenario) -> Cast:
    """Return everyone of a scenario."""
    keys = {name: actor_key(name) for name in (*scenario.roles, *scenario.strangers)}
    addresses = {name: address_of(key.public) for name, key in keys.items()}
    return Cast(keys, addresses, Names(addresses))


@dataclass
class Script:
    """What was done so far, as far as later steps refer to it."""

    cast: Cast
    orders: dict[str, TransactionId] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)
    """Next number of each actor."""

    def payload(self, step: Act, now_ms: int) -> Payload:
        """Return what a step issues.

        Raises:
            InvalidError: A field breaks its rule; names the step.
        """
        known = Known(
            self.cast.addresses,
            {name: key.public for name, key in self.cast.keys.items()},
            self.orders,
            now_ms,
        )
        try:
            if step.do == COMMIT:
                return _commitment(step, known)
            return operation(step.do, step.fields, known)
        except InvalidError as error:
            raise InvalidError(f"step {step.number}, {step.do}: {error}") from error

    def sequence(self, step: Act) -> int:
        """Return the number a step is issued under, and count it."""
        if step.sequence is not None:
            return step.sequence
        number = self.sequences.get(step.by, 0)
        self.sequences[step.by] = number + 1
        return number


def _commitment(step: Act, known: Known) -> ReadingBatch:
    read = values(_COMMIT, step.fields, known)
    root = digest(_DOMAIN + str(sorted(step.fields.items())).encode("utf-8"))
    return ReadingBatch(**read, root=root)  # type: ignore[arg-type] # the readers say what they return


ledger_duration: Final = quantity(DURATION)
