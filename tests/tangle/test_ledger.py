"""The ledger: who may issue, what counts once, what is conserved."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tangle.accounts import (
    COORDINATORS_KEY,
    NO_ADDRESS,
    Identity,
    Token,
    balance,
    coordinators,
    genesis_rows,
    identity,
    identity_key,
    reading_ranges,
    sequence_window,
)
from tangle.address import address_of
from tangle.codec import encode
from tangle.contracts import Changed, Context, Contract, by_name
from tangle.errors import InvalidError
from tangle.genesis import Allocation, Genesis, entry_points
from tangle.ledger import Ledger, LedgerRules, genesis_state
from tangle.outcomes import Applied, Ignored, NoValue, Outcome, Reason
from tangle.ranges import ReadingRange
from tangle.restored import Restored
from tangle.rows import Draft, Rows
from tangle.transaction import Operation, ReadingBatch, TransactionId
from tangle.trie import Trie
from tangle.verification import Verified
from tests.community import (
    COINS_UEUR,
    CONTRACTS,
    Maker,
    community,
    edge_key,
    key,
    member_key,
    meter_key,
    with_parameters,
)

GENESIS = community()
MAKE = Maker(GENESIS)
ROOTS = entry_points(GENESIS)
EDGE, OTHER_EDGE, METER = edge_key(0), edge_key(1), meter_key(0)
PAYEE = address_of(member_key(1).public)
METER_ADDRESS = address_of(METER.public)


def ledger_with_meter(genesis: Genesis = GENESIS) -> Ledger:
    state = genesis_state(genesis)
    meter = Identity(METER.public, "meter", NO_ADDRESS, address_of(EDGE.public))
    rows = {**state.rows, identity_key(METER_ADDRESS): encode(meter)}
    kept = Restored(state.index, state.milestone_id, state.timestamp_ms, rows, ())
    return Ledger(LedgerRules(CONTRACTS, is_open=genesis.parameters.admission == "open"), kept)


def outcomes(ledger: Ledger, *transactions: Verified) -> list[Outcome]:
    """Apply transactions as the next milestone and return what became of them."""
    index = ledger.index + 1
    diff = ledger.preview(transactions, index, ledger.timestamp_ms + 1)
    ledger.commit(diff, TransactionId(bytes([index]) * 32))
    assert diff.trie.root == Trie.of(dict(ledger.rows.scan(b""))).root
    return [outcome for _, outcome in diff.outcomes]


def batch(first: int, last: int) -> ReadingBatch:
    return ReadingBatch(METER_ADDRESS, first, last, bytes(32))


def test_a_number_is_used_by_what_carries_no_value_or_is_ignored_too() -> None:
    ledger = ledger_with_meter()
    note = MAKE.transaction(EDGE, 0, ROOTS)
    refused = MAKE.transfer(EDGE, 1, ROOTS, PAYEE, 1)

    assert outcomes(ledger, note, refused) == [
        NoValue(),
        Ignored(Reason.INSUFFICIENT_EEURO),
    ]
    assert sequence_window(ledger.rows, address_of(EDGE.public)).next == 2


def test_a_used_number_a_far_number_and_a_stranger_change_nothing() -> None:
    ledger = ledger_with_meter()
    outcomes(ledger, MAKE.transaction(EDGE, 0, ROOTS))
    before = dict(ledger.rows.scan(b""))

    said = outcomes(
        ledger,
        MAKE.transaction(EDGE, 0, ROOTS),
        MAKE.transaction(EDGE, 1_025, ROOTS),
        MAKE.transaction(key(1), 0, ROOTS),
    )

    assert said == [
        Ignored(Reason.SEQUENCE_USED),
        Ignored(Reason.SEQUENCE_AHEAD),
        Ignored(Reason.ISSUER_UNKNOWN),
    ]
    assert dict(ledger.rows.scan(b"")) == before


def test_in_an_open_network_a_stranger_may_issue() -> None:
    genesis = with_parameters(GENESIS, admission="open")
    ledger = ledger_with_meter(genesis)

    assert outcomes(ledger, MAKE.transaction(key(1), 0, ROOTS)) == [NoValue()]


@pytest.mark.parametrize(
    ("issuer", "outcome"),
    [
        pytest.param(EDGE, Applied, id="its home edge"),
        pytest.param(METER, Applied, id="the meter itself"),
        pytest.param(OTHER_EDGE, Ignored(Reason.NOT_ALLOWED), id="another edge"),
        pytest.param(member_key(0), Ignored(Reason.NOT_ALLOWED), id="a member"),
    ],
)
def test_who_may_commit_to_a_meters_readings(issuer: object, outcome: object) -> None:
    ledger = ledger_with_meter()

    (said,) = outcomes(ledger, MAKE.transaction(issuer, 0, ROOTS, batch(0, 9)))  # type: ignore[arg-type] # one of the keys above

    assert said == outcome or isinstance(said, Applied) is (outcome is Applied)
    assert bool(reading_ranges(ledger.rows, METER_ADDRESS).taken) is isinstance(said, Applied)


def test_a_reading_is_committed_to_once_and_batches_may_come_in_any_order() -> None:
    ledger = ledger_with_meter()

    said = outcomes(
        ledger,
        MAKE.transaction(EDGE, 0, ROOTS, batch(10, 19)),
        MAKE.transaction(EDGE, 1, ROOTS, batch(0, 9)),
        MAKE.transaction(EDGE, 2, ROOTS, batch(19, 25)),
    )

    assert [type(one) for one in said] == [Applied, Applied, Ignored]
    assert said[2] == Ignored(Reason.READING_USED)
    assert reading_ranges(ledger.rows, METER_ADDRESS).taken == (ReadingRange(0, 19),)


def test_a_batch_for_what_is_no_meter_is_not_allowed() -> None:
    ledger = ledger_with_meter()
    for_member = ReadingBatch(PAYEE, 0, 1, bytes(32))

    assert outcomes(ledger, MAKE.transaction(EDGE, 0, ROOTS, for_member)) == [
        Ignored(Reason.NOT_ALLOWED)
    ]


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2 * COINS_UEUR)),
        max_size=30,
    )
)
def test_whatever_is_paid_the_sum_stays_the_same(payments: list[tuple[int, int, int]]) -> None:
    ledger = ledger_with_meter()
    members = [address_of(member_key(number).public) for number in range(3)]
    numbers = [0, 0, 0]
    transactions = []
    for payer, payee, amount_ueur in payments:
        tx = MAKE.transfer(member_key(payer), numbers[payer], ROOTS, members[payee], amount_ueur)
        numbers[payer] += 1
        transactions.append(tx)

    outcomes(ledger, *transactions)

    held = [balance(ledger.rows, Token.EEURO, member) for member in members]
    assert sum(held) == 3 * COINS_UEUR
    assert min(held) >= 0


def test_the_end_steps_run_after_the_operations_in_order_of_name() -> None:
    seen = []

    def ending(name: str) -> Contract[bytes]:
        def end(_rows: object, index: int, timestamp_ms: int) -> Changed:
            seen.append((name, index, timestamp_ms))
            return Changed({b"ended/" + name.encode(): str(index).encode()})

        return Contract(name, bytes, lambda *_: Changed({}), end)

    rules = LedgerRules(by_name(ending("zebra"), ending("ant")), is_open=True)
    ledger = Ledger(rules, genesis_state(GENESIS))

    outcomes(ledger, MAKE.transaction(EDGE, 0, ROOTS))

    at_ms = GENESIS.ledger_start_ms + 1
    assert seen == [("ant", 1, at_ms), ("zebra", 1, at_ms)]
    assert ledger.rows.get(b"ended/ant") == b"1"


def test_a_contract_knows_its_place_within_the_milestone() -> None:
    places = []

    def note(_rows: object, _call: bytes, context: Context) -> Changed:
        places.append((context.index, context.position))
        return Changed({})

    ledger = Ledger(
        LedgerRules(by_name(Contract("note", bytes, note)), is_open=True), genesis_state(GENESIS)
    )
    called = [MAKE.transaction(EDGE, number, ROOTS, Operation("note", b"")) for number in range(3)]
    between = MAKE.transaction(OTHER_EDGE, 0, ROOTS)

    outcomes(ledger, called[0], between, called[1])
    outcomes(ledger, called[2])

    assert places == [(1, 0), (1, 2), (2, 0)]


def test_genesis_gives_eeuro_only_and_names_the_coordinator() -> None:
    rows = Rows(genesis_rows(GENESIS))

    assert balance(rows, Token.EEURO, PAYEE) == COINS_UEUR
    assert list(rows.scan(b"balance/ent/")) == []
    assert coordinators(rows).keys == GENESIS.coordinator_keys
    member = identity(rows, PAYEE)
    assert member is not None
    assert member.role == "member"


def _changed(**fields: object) -> Genesis:
    kept = {name: getattr(GENESIS, name) for name in Genesis.__struct_fields__}
    return Genesis(**{**kept, **fields})


@pytest.mark.parametrize(
    ("genesis", "rule"),
    [
        pytest.param(_changed(quorum=2), "quorum of 2 of 1", id="quorum above the keys"),
        pytest.param(
            _changed(coordinator_keys=tuple(sorted((key(1).public, key(2).public))), quorum=1),
            "not more than half",
            id="quorum of half",
        ),
        pytest.param(
            with_parameters(GENESIS, max_depth=20), "max_depth 20 must be less", id="depths"
        ),
        pytest.param(
            _changed(identities=GENESIS.identities[::-1]), "ascending", id="identities unsorted"
        ),
        pytest.param(
            _changed(identities=GENESIS.identities[:1] * 2), "ascending", id="identity repeated"
        ),
        pytest.param(
            _changed(allocations=GENESIS.allocations[::-1]), "ascending", id="allocations unsorted"
        ),
        pytest.param(
            _changed(
                allocations=tuple(
                    Allocation(address_of(number.to_bytes(2, "big")), 10**15)
                    for number in sorted(
                        range(9_224), key=lambda n: address_of(n.to_bytes(2, "big"))
                    )
                )
            ),
            "the maximum is",
            id="more than an amount holds",
        ),
    ],
)
def test_a_genesis_that_breaks_a_rule_makes_no_ledger(genesis: Genesis, rule: str) -> None:
    with pytest.raises(InvalidError, match=rule):
        genesis_rows(genesis)


@given(
    st.dictionaries(st.binary(max_size=3), st.binary(max_size=2), max_size=12),
    st.lists(
        st.dictionaries(
            st.binary(max_size=3), st.none() | st.binary(max_size=2), min_size=1, max_size=6
        ),
        max_size=4,
    ),
    st.binary(max_size=1),
)
def test_rows_and_drafts_agree_with_a_plain_dictionary(
    start: dict[bytes, bytes], steps: list[dict[bytes, bytes | None]], prefix: bytes
) -> None:
    rows, model = Rows(start), dict(start)
    draft = Draft(Rows(start))

    for changes in steps:
        rows.apply(changes)
        draft.put(changes)
        for row_key, value in changes.items():
            if value is None:
                model.pop(row_key, None)
            else:
                model[row_key] = value

    wanted = sorted((k, v) for k, v in model.items() if k.startswith(prefix))
    assert list(rows.scan(prefix)) == wanted
    assert list(draft.scan(prefix)) == wanted
    assert len(rows) == len(model)
    assert all(draft.get(row_key) == model.get(row_key) for row_key in {*start, *model})
    # What a draft says it changed is exactly what differs.
    differing = {k for k in {*start, *model} if start.get(k) != model.get(k)}
    assert set(draft.changes) == differing


def test_the_coordinators_row_is_part_of_the_state() -> None:
    assert Rows(genesis_rows(GENESIS)).get(COORDINATORS_KEY) is not None
