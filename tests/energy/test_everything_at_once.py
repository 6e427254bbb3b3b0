"""All contracts at once, by whoever, with any integers: the books balance and nobody is halted.

Each seed is a small community whose actors try calls of every contract at random, most of them
refused. After each milestone the ledger is counted anew from its rows; what was decided must be
as a node keeps it, and as a node that starts from a snapshot of the rows decides it.
"""

import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec
import pytest

from access.device import Claim, claim_registration, register_operation
from edge.journal.records import decode_outcome, encode_outcome
from energy import bank, transfer
from energy.ctt import calls as ctt
from energy.governance import acts
from energy.governance.contract import vote_operation
from energy.market import contract as market
from energy.members import voters
from energy.parameters import RULES
from energy.powerchain import calls as powerchain
from tangle.accounts import NO_ADDRESS, network_hash
from tangle.address import Address, address_of
from tangle.genesis import Allocation, Genesis, GenesisIdentity, network_id
from tangle.keys import SigningKey
from tangle.ledger import Ledger, LedgerRules, genesis_state
from tangle.outcomes import Applied, Ignored
from tangle.restored import Restored
from tangle.transaction import (
    MAX_INTEGER,
    VERSION,
    IssuerWitness,
    Operation,
    ReadingBatch,
    Transaction,
    TransactionId,
)
from tangle.verification import Verified
from tests.community import CONTRACTS, START_MS, community, edge_key, key, member_key, meter_key
from tests.energy.books import check_book, check_ctt, check_energy, check_tokens

NIGHTLY: Final = os.environ.get("TANGLEWATT_NIGHTLY") == "1"
SEEDS: Final = range(600) if NIGHTLY else range(4)
MILESTONES: Final = 120 if NIGHTLY else 60
HOUR_MS: Final = 3_600_000

VOTERS: Final = (key(3_000), key(3_001))
MEMBERS: Final = tuple(member_key(number) for number in range(5))
METERS: Final = tuple(meter_key(number) for number in range(4))
PEOPLE: Final = (*VOTERS, *MEMBERS)
UNITS: Final = METERS[:3]
STRANGER: Final = key(3_002)
EDGE: Final = edge_key(0)
ISSUERS: Final = (*VOTERS, *MEMBERS, *METERS, EDGE, STRANGER)
ADDRESSES: Final = (*(address_of(one.public) for one in ISSUERS), NO_ADDRESS)

SMALL: Final = (0, 1, 2, 3, 7, 999, 1_000, 1_001, 2_000, 50_000, 999_999, 1_000_000, 1_000_001)
EXTREME: Final = (10**9, 10**12, MAX_INTEGER // 1_000, 2**62, MAX_INTEGER - 1, MAX_INTEGER)

Make = Callable[["Town"], Operation | ReadingBatch]


def genesis() -> Genesis:
    """Return a community with a voter, members with money, meters and one edge node."""
    roles = [(VOTERS[0].public, "voter"), (VOTERS[1].public, "member"), (EDGE.public, "edge")]
    roles += [(one.public, "member") for one in MEMBERS] + [(one.public, "meter") for one in METERS]
    held = sorted(address_of(one.public) for one in MEMBERS)
    return msgspec.structs.replace(
        community(members=0),
        identities=tuple(GenesisIdentity(*one) for one in sorted(roles)),
        allocations=tuple(Allocation(one, 10**9) for one in held),
    )


GENESIS: Final = genesis()


class Town:
    """One ledger, a random source, and what was tried on it."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # reproducible, no secret
        self.rules = LedgerRules(CONTRACTS, is_open=seed % 2 == 1)
        self.ledger = Ledger(self.rules, genesis_state(GENESIS))
        self.now_ms = START_MS
        self.sequences: Counter[Address] = Counter()
        self.orders: list[TransactionId] = [TransactionId(bytes(32))]
        self.seen: Counter[str] = Counter()
        self.made = 0
        self.apply([self.signed(issuer, payload) for issuer, payload in founding()])

    def amount(self) -> int:
        """Return an integer of a call: mostly of everyday size, at times as far as they go."""
        kind = self.chance.random()
        if kind < 0.45:
            return self.chance.randrange(200_000)
        if kind < 0.6:
            return self.chance.randrange(5_000_000)
        return self.chance.choice(SMALL if kind < 0.93 else EXTREME)

    def address(self) -> Address:
        """Return who is named in a call."""
        return self.chance.choice(ADDRESSES)

    def unit(self) -> Address:
        """Return a meter mostly."""
        if self.chance.random() < 0.05:
            return self.address()
        return address_of(self.chance.choice(METERS[:3]).public)

    def named_unit(self) -> Address | None:
        """Return for which unit a report says it is; mostly it says nothing."""
        return None if self.chance.random() < 0.7 else self.unit()

    def person(self) -> Address:
        """Return a member mostly."""
        if self.chance.random() < 0.1:
            return self.address()
        return address_of(self.chance.choice(MEMBERS).public)

    def moment(self) -> int:
        """Return a moment of ledger time, at times one that is none."""
        if self.chance.random() < 0.1:
            return self.amount()
        return self.now_ms + self.chance.randrange(-8 * HOUR_MS, 8 * HOUR_MS)

    def maybe(self, value: int) -> int | None:
        return None if self.chance.random() < 0.7 else value

    def few(self) -> int:
        """Return a number of a report or token: a low one, rarely the last there is."""
        if self.chance.random() < 0.02:
            return self.chance.choice(EXTREME)
        return self.chance.randrange(40)

    def milestone(self) -> None:
        """Let some actors try something, and let time pass."""
        self.now_ms += self.chance.choice((0, 1, 60_000, 60_000, HOUR_MS, 2 * HOUR_MS))
        if self.chance.random() < 0.02:
            self.now_ms += 31 * 24 * HOUR_MS
        self.apply([self.transaction() for _ in range(self.chance.randrange(12))])

    def apply(self, ordered: list[Verified]) -> None:
        """Let a milestone reference transactions, on this node and on one that starts anew."""
        index = self.ledger.index + 1
        diff = self.ledger.preview(ordered, index, self.now_ms)
        rows = dict(self.ledger.rows.scan(b""))
        restarted = Ledger(
            self.rules,
            Restored(index - 1, self.ledger.milestone_id, self.now_ms, rows, ()),
        )
        again = restarted.preview(ordered, index, self.now_ms)
        assert (again.state_root, again.applied_root) == (diff.state_root, diff.applied_root)
        for (tx_id, outcome), tried in zip(diff.outcomes, ordered, strict=True):
            assert decode_outcome(encode_outcome(outcome)) == outcome
            payload = tried.transaction.payload
            name = getattr(payload, "contract", "batch")
            self.seen[f"{name} {type(outcome).__name__}"] += 1
            if isinstance(outcome, Applied):
                self.seen.update(event.name for event in outcome.events)
                if name == "market":
                    self.orders.append(tx_id)
            elif isinstance(outcome, Ignored):
                self.seen[outcome.reason] += 1
        self.ledger.commit(diff, TransactionId(index.to_bytes(32, "big")))

    def transaction(self) -> Verified:
        """Return something that somebody tries, as a node hands it to the ledger."""
        make, fitting = self.chance.choice(CALLS)
        issuer = self.chance.choice(fitting if self.chance.random() < 0.8 else ISSUERS)
        payload = make(self)
        if self.chance.random() < 0.02:
            return self.signed(issuer, payload, self.chance.choice((0, 3_000, MAX_INTEGER)))
        return self.signed(issuer, payload)

    def signed(
        self, issuer: SigningKey, payload: Operation | ReadingBatch, number: int | None = None
    ) -> Verified:
        """Return a transaction, under the issuer's next number unless another is said."""
        if number is None:
            number = self.sequences[address_of(issuer.public)]
            self.sequences[address_of(issuer.public)] += 1
        self.made += 1
        transaction = Transaction(
            VERSION, network_id(GENESIS), (), issuer.public, number, self.now_ms, payload
        )
        tx_id = TransactionId(self.made.to_bytes(32, "big"))
        return Verified(tx_id, b"", transaction, IssuerWitness(bytes(64), bytes(8)), 0)


def founding() -> list[tuple[SigningKey, Operation]]:
    """Return what makes a community: storage, a banker, tokens, and a collection of accounts."""
    voter, admin, operator = VOTERS[0], MEMBERS[0], MEMBERS[1]
    who = {one: address_of(one.public) for one in ISSUERS}
    voted: list[acts.Act] = [acts.RegisterUnit(who[one], who[operator], 10**6) for one in UNITS[:2]]
    done: list[tuple[SigningKey, Operation]] = [
        (voter, vote_operation(acts.Vote(one, True)))  # a ballot says yes
        for one in (*voted, acts.SetBanker(who[admin]))
    ]
    create = ctt.Create(who[admin], who[operator], 10**4, 2_000, 1_000)
    done += [(voter, ctt.ctt_operation(create))]
    for meter, member in zip(METERS, MEMBERS[1:], strict=True):
        done += [
            (member, ctt.ctt_operation(ctt.Register(who[meter]))),
            (operator, ctt.ctt_operation(ctt.Confirm(who[meter], who[member]))),
            (member, ctt.ctt_operation(ctt.BuyEmpty(5))),
            (UNITS[0], powerchain.energy_operation(powerchain.Produced(who[member], 50_000))),
        ]
    return done


def _energy(make: Callable[[Town], powerchain.EnergyCall]) -> Make:
    return lambda town: powerchain.energy_operation(make(town))


def _ctt(make: Callable[[Town], ctt.CttCall]) -> Make:
    return lambda town: ctt.ctt_operation(make(town))


def _bank(make: Callable[[Town], bank.BankCall]) -> Make:
    return lambda town: bank.bank_operation(make(town))


def _market(make: Callable[[Town], market.MarketCall]) -> Make:
    return lambda town: market.market_operation(make(town))


def _vote(make: Callable[[Town], acts.Act]) -> Make:
    return lambda town: vote_operation(acts.Vote(make(town), town.chance.random() < 0.9))


def _parameter(town: Town) -> acts.Act:
    name = town.chance.choice((*RULES, "X"))
    if name not in RULES or town.chance.random() < 0.2:
        return acts.SetParameter(name, town.chance.choice((-1, -MAX_INTEGER, town.amount())))
    rule = RULES[name]
    return acts.SetParameter(name, town.chance.choice((rule.low, rule.high, (rule.high + 1) // 2)))


def _batch(town: Town) -> ReadingBatch:
    first = town.few()
    last = min(MAX_INTEGER, first + town.few())
    return ReadingBatch(town.unit(), first, last, bytes(32))


def _device(town: Town) -> Operation:
    new = town.chance.choice((STRANGER, MEMBERS[0]))
    claim = Claim(network_hash(town.ledger.rows), new.public, "member", town.address(), NO_ADDRESS)
    return register_operation(claim_registration(claim, new))


def _expiry(town: Town) -> int:
    return 0 if town.chance.random() < 0.5 else town.moment()


CALLS: Final[tuple[tuple[Make, tuple[SigningKey, ...]], ...]] = (
    (_batch, (*METERS, EDGE)),
    (_device, VOTERS),
    (
        lambda town: transfer.transfer_operation(
            transfer.TransferEnt(town.person(), town.amount())
        ),
        PEOPLE,
    ),
    (
        lambda town: transfer.transfer_operation(
            transfer.TransferEeuro(town.person(), town.amount())
        ),
        PEOPLE,
    ),
    *[(_energy(lambda t: powerchain.Connect(t.unit(), t.person(), t.amount())), PEOPLE)] * 2,
    *[(_energy(lambda t: powerchain.OpenSession(t.unit(), t.amount())), PEOPLE)] * 3,
    (_energy(lambda t: powerchain.CloseSession(t.unit())), PEOPLE),
    *[
        (
            _energy(
                lambda t: powerchain.Produced(
                    t.person(), t.amount(), t.maybe(t.few()), t.maybe(t.moment()), t.named_unit()
                )
            ),
            UNITS,
        )
    ]
    * 4,
    *[
        (
            _energy(
                lambda t: powerchain.Consumed(
                    t.person(), t.amount(), t.maybe(t.few()), t.maybe(t.moment()), t.named_unit()
                )
            ),
            UNITS,
        )
    ]
    * 3,
    (_energy(lambda t: powerchain.Actual(t.amount())), UNITS),
    (_energy(lambda t: powerchain.Reported(t.moment(), t.named_unit())), UNITS),
    (
        _energy(lambda t: powerchain.Delegate(None if t.chance.random() < 0.3 else t.address())),
        UNITS,
    ),
    (_bank(lambda t: bank.Mint(t.person(), t.amount())), MEMBERS[:2]),
    (_bank(lambda t: bank.Burn(t.person(), t.amount())), MEMBERS[:2]),
    (_bank(lambda t: bank.Unlock(t.person(), t.amount())), MEMBERS[:2]),
    (_bank(lambda t: bank.Lock(t.amount())), PEOPLE),
    *[
        (
            _market(lambda t: market.Sell(t.amount() // 1_000 * 1_000, t.amount(), _expiry(t))),
            PEOPLE,
        )
    ]
    * 3,
    *[
        (
            _market(lambda t: market.Buy(t.amount() // 1_000 * 1_000, t.amount(), _expiry(t))),
            PEOPLE,
        )
    ]
    * 3,
    (_market(lambda t: market.Sell(t.amount(), t.amount(), t.moment())), PEOPLE),
    (_market(lambda t: market.Cancel(t.chance.choice(t.orders))), PEOPLE),
    *[(_vote(lambda t: acts.RegisterUnit(t.unit(), t.person(), t.amount(), 10**6)), VOTERS)] * 2,
    (
        _vote(lambda t: acts.RegisterUnit(t.unit(), t.person(), 10**12, t.amount())),
        VOTERS,
    ),
    (_vote(lambda t: acts.RemoveUnit(t.unit())), VOTERS[:1]),
    (_vote(lambda t: acts.AddVoter(t.person())), VOTERS),
    (_vote(lambda t: acts.RemoveVoter(t.person())), VOTERS),
    (_vote(lambda t: acts.SetBanker(address_of(t.chance.choice(MEMBERS[:2]).public))), VOTERS),
    (_vote(lambda t: acts.ConfirmDevice(t.unit())), VOTERS),
    (_vote(_parameter), VOTERS),
    (_vote(lambda t: acts.FundMint(t.person(), t.amount())), VOTERS),
    (_vote(lambda t: acts.FundBurn(t.person(), t.amount())), VOTERS),
    (_vote(lambda _: acts.NamedAct("x" * 64)), VOTERS),
    (
        _ctt(
            lambda t: ctt.Create(
                address_of(MEMBERS[0].public),
                address_of(MEMBERS[1].public),
                t.amount(),
                t.chance.choice((1, 2_000, 10**9)),
                t.amount(),
            )
        ),
        VOTERS,
    ),
    (_ctt(lambda t: ctt.SetMaxTokenSupply(t.amount())), MEMBERS[:1]),
    (_ctt(lambda _: ctt.UpdateAdmin(address_of(MEMBERS[0].public))), MEMBERS[:1]),
    (
        _ctt(lambda t: ctt.SetTokenCapacity(t.chance.choice((1, 2_000, 10**9)), t.maybe(t.few()))),
        MEMBERS[1:2],
    ),
    (_ctt(lambda t: ctt.Register(t.unit())), MEMBERS[2:]),
    *[(_ctt(lambda t: ctt.Confirm(t.unit(), t.person())), MEMBERS[1:2])] * 3,
    *[(_ctt(lambda t: ctt.BuyEmpty(t.chance.choice((1, 2, 3, 100)))), MEMBERS)] * 3,
    (_ctt(lambda t: ctt.SetOnSale(t.few(), t.amount(), t.amount())), MEMBERS),
    (_ctt(lambda t: ctt.WithdrawSale(t.few())), MEMBERS),
    *[(_ctt(lambda t: ctt.Buy(t.few(), t.amount() * 10**3 % 2**63)), MEMBERS)] * 2,
    (_ctt(lambda t: ctt.Transfer(t.few(), t.person())), MEMBERS),
    (_ctt(lambda t: ctt.Approve(t.few(), t.person())), MEMBERS),
    (_ctt(lambda t: ctt.SignInterruption(t.chance.choice((None, 0, 10**6)))), MEMBERS),
    *[(_ctt(lambda t: ctt.Recharge(t.amount(), t.maybe(t.few()))), METERS)] * 3,
    *[(_ctt(lambda t: ctt.Consume(t.amount(), t.maybe(t.few()))), METERS)] * 2,
)
"""Every call there is, with who may make it: others try as well."""


def check(town: Town) -> None:
    """Count the whole ledger anew."""
    check_tokens(town.ledger)
    check_energy(town.ledger, town.now_ms)
    check_book(town.ledger, town.now_ms)
    check_ctt(town.ledger)
    assert voters(town.ledger.rows)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_anybody_calls_the_books_balance_and_no_node_is_halted(seed: int) -> None:
    town = Town(seed)

    for _ in range(MILESTONES):
        town.milestone()

        check(town)
