from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tangle.codec import encode
from tangle.errors import InvalidProofError, MalformedBytesError
from tangle.hashing import digest
from tangle.trie import (
    EMPTY_ROOT,
    KEY_BITS,
    MAX_PROOF_SIZE,
    ProvenLeaf,
    StateProof,
    Trie,
    decode_state_proof,
    verify_absence,
    verify_presence,
)
from tests.vectors import load

VECTOR = load("state_trie")
ROWS = {bytes.fromhex(key): bytes.fromhex(value) for key, value in VECTOR["rows"]}

keys = st.binary(max_size=2)
values = st.binary(max_size=3)
row_sets = st.dictionaries(keys, values, max_size=40)
change_sets = st.dictionaries(keys, st.none() | values, max_size=40)


def bits_of(key: bytes) -> str:
    return f"{int.from_bytes(digest(key), 'big'):0256b}"


def by_definition(rows: Mapping[bytes, bytes], prefix: str = "") -> bytes:
    """PROTOCOL §7 word for word: each subtree looks for its own rows among all of them."""
    here = [key for key in rows if bits_of(key).startswith(prefix)]
    if not here:
        return bytes(32)
    if len(here) == 1:
        return digest(b"\0" + digest(here[0]) + digest(rows[here[0]]))
    below = {key: rows[key] for key in here}
    return digest(b"\1" + by_definition(below, prefix + "0") + by_definition(below, prefix + "1"))


def changed(
    rows: Mapping[bytes, bytes], changes: Mapping[bytes, bytes | None]
) -> dict[bytes, bytes]:
    merged = {**rows, **changes}
    return {key: value for key, value in merged.items() if value is not None}


def is_present(proof: StateProof, key: bytes, value: bytes, root: bytes) -> bool:
    try:
        verify_presence(proof, key, value, root)
    except InvalidProofError:
        return False
    return True


def is_absent(proof: StateProof, key: bytes, root: bytes) -> bool:
    try:
        verify_absence(proof, key, root)
    except InvalidProofError:
        return False
    return True


@settings(deadline=None)
@given(row_sets)
def test_the_root_follows_the_definition(rows: dict[bytes, bytes]) -> None:
    assert Trie.of(rows).root == by_definition(rows)


@settings(deadline=None)
@given(row_sets, st.lists(change_sets, max_size=4))
def test_updates_lead_to_the_root_of_the_rows_that_result(
    rows: dict[bytes, bytes], batches: list[dict[bytes, bytes | None]]
) -> None:
    trie = Trie.of(rows)

    for changes in batches:
        trie, rows = trie.update(changes), changed(rows, changes)
        assert trie.root == by_definition(rows)


@given(st.permutations(sorted(ROWS)), st.integers(0, len(ROWS)))
def test_order_and_batching_of_updates_are_irrelevant(order: list[bytes], cut: int) -> None:
    one_by_one = Trie()
    for key in order:
        one_by_one = one_by_one.update({key: ROWS[key]})
    in_two = Trie.of({key: ROWS[key] for key in order[:cut]})
    in_two = in_two.update({key: ROWS[key] for key in order[cut:]})

    assert one_by_one.root == in_two.root == Trie.of(ROWS).root


@given(row_sets, row_sets)
def test_inserting_and_deleting_again_returns_the_root_before(
    rows: dict[bytes, bytes], more: dict[bytes, bytes]
) -> None:
    before = Trie.of(rows)
    new = {key: value for key, value in more.items() if key not in rows}

    after = before.update(new).update(dict.fromkeys(new))

    assert after.root == before.root
    assert before.update(dict.fromkeys(rows)).root == EMPTY_ROOT


@given(row_sets)
def test_an_update_that_changes_nothing_shares_everything(rows: dict[bytes, bytes]) -> None:
    trie = Trie.of(rows)
    absent = {key: None for key in (b"not there", b"nor there") if key not in rows}

    same = trie.update({**rows, **absent})

    assert same._node is trie._node


def test_an_update_leaves_the_trie_before_as_it_was() -> None:
    before = Trie.of(ROWS)
    root = before.root

    after = before.update({b"balance/0": b"other"})

    assert before.root == root != after.root
    assert is_present(before.prove(b"balance/0"), b"balance/0", ROWS[b"balance/0"], root)


@settings(deadline=None)
@given(row_sets, keys)
def test_exactly_one_of_presence_and_absence_is_proven(
    rows: dict[bytes, bytes], key: bytes
) -> None:
    trie = Trie.of(rows)

    proof = decode_state_proof(encode(trie.prove(key)))

    assert is_absent(proof, key, trie.root) == (key not in rows)
    assert is_present(proof, key, rows.get(key, b""), trie.root) == (key in rows)


@given(row_sets, keys, keys, values)
def test_a_proof_of_one_key_proves_nothing_false_about_another(
    rows: dict[bytes, bytes], key: bytes, other: bytes, value: bytes
) -> None:
    trie = Trie.of(rows)
    proof = trie.prove(other)

    # It may prove a true thing: that another key is absent from the same empty place.
    assert not is_absent(proof, key, trie.root) or key not in rows
    assert not is_present(proof, key, value, trie.root) or rows.get(key) == value


@settings(deadline=None)
@given(st.data())
def test_every_tampered_byte_of_a_proof_is_refused(data: st.DataObject) -> None:
    trie = Trie.of(ROWS)
    key = data.draw(st.sampled_from([*ROWS, b"none", b"balance/7", b"row/1"]))
    spelt = bytearray(encode(trie.prove(key)))
    at = data.draw(st.integers(0, len(spelt) - 1))
    spelt[at] ^= data.draw(st.integers(1, 255))

    try:
        proof = decode_state_proof(bytes(spelt))
    except MalformedBytesError:
        return

    assert not is_present(proof, key, ROWS.get(key, b""), trie.root)
    assert not is_absent(proof, key, trie.root)


@given(st.sampled_from(sorted(ROWS)), st.data())
def test_proofs_put_together_from_true_parts_prove_nothing_false(
    key: bytes, data: st.DataObject
) -> None:
    trie = Trie.of(ROWS)
    leaves = [None, *(trie.prove(other).leaf for other in ROWS)]
    pieces = trie.prove(key).siblings
    siblings = pieces[: data.draw(st.integers(0, len(pieces)))]

    forged = StateProof(siblings, data.draw(st.sampled_from(leaves)))

    assert not is_absent(forged, key, trie.root)
    assert is_present(forged, key, ROWS[key], trie.root) == (forged == trie.prove(key))


def test_the_longest_shared_prefix_of_the_vector_is_a_chain_of_half_empty_nodes() -> None:
    first, second = list(ROWS)[:2]
    trie = Trie.of({key: ROWS[key] for key in (first, second)})
    shared = next(at for at in range(KEY_BITS) if bits_of(first)[at] != bits_of(second)[at])

    proof = trie.prove(first)

    assert shared > 15
    assert proof.siblings[:-1] == (EMPTY_ROOT,) * shared
    assert trie.update({second: None}).prove(first).siblings == ()


def test_nothing_is_present_in_an_empty_trie() -> None:
    proof = Trie().prove(b"any")

    assert proof == StateProof((), None)
    assert Trie().root == EMPTY_ROOT
    assert is_absent(proof, b"any", EMPTY_ROOT)
    assert not is_present(proof, b"any", b"", EMPTY_ROOT)


def test_a_row_with_an_empty_value_is_present() -> None:
    trie = Trie.of({b"key": b""})

    assert trie.root != EMPTY_ROOT
    assert is_present(trie.prove(b"key"), b"key", b"", trie.root)


KEY = b"balance/3"
TRIE = Trie.of(ROWS)
PROOF = TRIE.prove(KEY)
OTHER_LEAF = TRIE.prove(b"balance/4").leaf
EMPTY_END = StateProof((*PROOF.siblings, EMPTY_ROOT), None)


@pytest.mark.parametrize(
    ("proof", "value", "message"),
    [
        pytest.param(PROOF, b"other", "hashes to", id="value"),
        pytest.param(StateProof(PROOF.siblings, OTHER_LEAF), ROWS[KEY], "another key", id="leaf"),
        pytest.param(StateProof(PROOF.siblings, None), ROWS[KEY], "ends in no row", id="no leaf"),
        pytest.param(
            StateProof(PROOF.siblings[1:], PROOF.leaf), ROWS[KEY], "leads to root", id="too short"
        ),
        pytest.param(
            StateProof((*PROOF.siblings, EMPTY_ROOT), PROOF.leaf),
            ROWS[KEY],
            "leads to root",
            id="too long",
        ),
        pytest.param(
            StateProof(PROOF.siblings[::-1], PROOF.leaf), ROWS[KEY], "leads to root", id="order"
        ),
    ],
)
def test_a_presence_that_is_not_proven_is_refused(
    proof: StateProof, value: bytes, message: str
) -> None:
    with pytest.raises(InvalidProofError, match=message):
        verify_presence(proof, KEY, value, TRIE.root)


@pytest.mark.parametrize(
    ("proof", "message"),
    [
        pytest.param(PROOF, "it is present", id="its own row"),
        pytest.param(StateProof((), None), "leads to root", id="nothing at all"),
        pytest.param(StateProof(PROOF.siblings, None), "leads to root", id="leaf left out"),
        pytest.param(EMPTY_END, "leads to root", id="empty below the row"),
        pytest.param(
            StateProof(PROOF.siblings, OTHER_LEAF), r"shares \d bits with it, not", id="elsewhere"
        ),
        pytest.param(StateProof((), OTHER_LEAF), "leads to root", id="another row as the root"),
    ],
)
def test_an_absence_that_is_not_proven_is_refused(proof: StateProof, message: str) -> None:
    with pytest.raises(InvalidProofError, match=message):
        verify_absence(proof, KEY, TRIE.root)


def test_a_root_of_another_moment_is_refused() -> None:
    later = TRIE.update({b"balance/0": None})

    assert not is_present(PROOF, KEY, ROWS[KEY], later.root)
    assert not is_absent(TRIE.prove(b"none"), b"none", later.root)


def test_roots_and_proofs_of_the_vector_are_the_same_everywhere() -> None:
    rows = list(ROWS.items())
    roots = [Trie.of(dict(rows[:count])).root for count in range(len(rows) + 1)]

    assert [root.hex() for root in roots] == VECTOR["roots_of_the_first"]
    assert roots == [by_definition(dict(rows[:count])) for count in range(len(rows) + 1)]
    for key, proof in VECTOR["presence"]:
        spelt = bytes.fromhex(key)
        verify_presence(decode_state_proof(bytes.fromhex(proof)), spelt, ROWS[spelt], roots[-1])
    for key, proof in VECTOR["absence"]:
        verify_absence(decode_state_proof(bytes.fromhex(proof)), bytes.fromhex(key), roots[-1])
    for name, root in (("absence_beside_the_twin", roots[1]), ("absence_from_nothing", roots[0])):
        key, proof = VECTOR[name]
        verify_absence(decode_state_proof(bytes.fromhex(proof)), bytes.fromhex(key), root)


@pytest.mark.parametrize(
    "proof",
    [
        pytest.param([[bytes(32)] * 257, None], id="deeper than a key has bits"),
        pytest.param([[bytes(31)], None], id="short sibling"),
        pytest.param([[], [bytes(32)]], id="leaf without a value"),
        pytest.param([[], [bytes(32), bytes(33)]], id="long value hash"),
        pytest.param([[]], id="no word about the leaf"),
        pytest.param([[], False], id="another nothing"),
    ],
)
def test_bytes_outside_the_limits_do_not_decode(proof: list[object]) -> None:
    with pytest.raises(MalformedBytesError):
        decode_state_proof(msgspec.msgpack.encode(proof))


def test_the_largest_proof_fits() -> None:
    largest = StateProof((bytes(32),) * KEY_BITS, ProvenLeaf(bytes(32), bytes(32)))

    assert decode_state_proof(encode(largest)) == largest
    assert len(encode(largest)) <= MAX_PROOF_SIZE
