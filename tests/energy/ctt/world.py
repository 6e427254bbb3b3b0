"""A ledger of one network on which CTT calls are made one after the other."""

from dataclasses import dataclass, field
from typing import Final

from energy.ctt.calls import Confirm, Create, CttCall, Register, decoder
from energy.ctt.contract import apply_ctt
from tangle.accounts import (
    NO_ADDRESS,
    Identity,
    Token,
    balance,
    balance_key,
    balance_row,
    identity_key,
)
from tangle.address import Address, address_of
from tangle.codec import encode
from tangle.contracts import Changed, Context
from tangle.keys import SigningKey
from tangle.outcomes import Event, Reason
from tangle.rows import Draft, Rows
from tangle.transaction import TransactionId
from tests.community import VOTER, member_key, meter_key

KWH: Final = 1_000
EUR: Final = 1_000_000
ADMIN, OPERATOR, ALICE, BOB = (member_key(number) for number in range(4))
METER: Final = meter_key(0)
COINS_UEUR: Final = 1_000 * EUR


def address(key: SigningKey) -> Address:
    return address_of(key.public)


@dataclass
class World:
    """Rows, and what was reported of the last call."""

    rows: Draft
    events: tuple[Event, ...] = ()
    calls: int = field(default=0)

    def call(self, issuer: SigningKey, call: CttCall) -> Reason | None:
        """Apply a call as it comes over the network; return why it was refused, if it was."""
        self.calls += 1
        context = Context(
            issuer.public, address(issuer), TransactionId(bytes(32)), 1, 1_000, self.calls
        )
        before = dict(self.rows.scan(b""))
        decided = apply_ctt(self.rows, decoder.decode(encode(call)), context)
        assert dict(self.rows.scan(b"")) == before, "a call only looks"
        match decided:
            case Reason():
                return decided
            case Changed():
                self.rows.put(decided.changes)
                self.events = decided.events
                return None

    def said(self, name: str) -> str | int | bytes:
        """Return one field of what the last applied call reported."""
        return dict(self.events[0].fields)[name]

    def eeuro(self, key: SigningKey) -> int:
        """Return what somebody holds, in µEUR."""
        return balance(self.rows, Token.EEURO, address(key))


def empty_world() -> World:
    """Return a network with a voter, four members, two meters, and no collection."""
    rows: dict[bytes, bytes | None] = {}
    roles = [(VOTER, "voter"), (METER, "meter"), (meter_key(1), "meter")]
    for key, role in (*roles, *((one, "member") for one in (ADMIN, OPERATOR, ALICE, BOB))):
        row = Identity(key.public, role, NO_ADDRESS, NO_ADDRESS)
        rows[identity_key(address(key))] = encode(row)
        if role == "member":
            rows[balance_key(Token.EEURO, address(key))] = balance_row(COINS_UEUR)
    return World(Draft(Rows({key: value for key, value in rows.items() if value is not None})))


def community(max_tokens: int = 10, capacity_wh: int = 10 * KWH) -> World:
    """Return a network with a collection, in which Alice's meter is confirmed."""
    world = empty_world()
    create = Create(address(ADMIN), address(OPERATOR), max_tokens, capacity_wh, 1 * EUR)
    assert world.call(VOTER, create) is None
    assert world.call(ALICE, Register(address(METER))) is None
    assert world.call(OPERATOR, Confirm(address(METER), address(ALICE))) is None
    return world
