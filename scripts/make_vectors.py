"""Writes the project's own vectors to `tests/vectors/`, the same bytes at every run.

    python -m scripts.make_vectors

Another implementation reads the same files; the tests check that they are up to date.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Final

from scripts.access_vectors import access_vectors
from scripts.proof_vectors import proof_vectors
from tangle import ranges, sequences
from tangle.address import address_of, encode_address
from tangle.codec import encode
from tangle.genesis import (
    Allocation,
    Genesis,
    GenesisIdentity,
    Parameters,
    entry_points,
    genesis_hash,
    network_id,
)
from tangle.hashing import digest
from tangle.keys import SigningKey
from tangle.outcomes import Reason
from tangle.seeds import seed_of, wallet_key, words_of
from tangle.transaction import (
    MAX_INTEGER,
    MILESTONE_ISSUER,
    VERSION,
    Data,
    IssuerWitness,
    KeySignature,
    Milestone,
    MilestoneWitness,
    Operation,
    Payload,
    ReadingBatch,
    SignedTransaction,
    Transaction,
    sign,
    transaction_id,
)
from tangle.trie import Trie
from tangle.work import find_nonce, required_bits

FOLDER: Final = Path(__file__).parents[1] / "tests" / "vectors"
WORK_PER_BYTE: Final = 64
CREATED_AT_MS: Final = 1_760_000_000_000
FIELD_PRIME: Final = 2**255 - 19
GROUP_ORDER: Final = 2**252 + 27742317777372353535851937790883648493

Vectors = dict[str, object]


def main() -> None:
    """Write every file anew."""
    for name, content in all_vectors().items():
        (FOLDER / f"{name}.json").write_text(as_text(content), encoding="utf-8")


def all_vectors() -> dict[str, Vectors]:
    """Return the content of every file by its name without extension."""
    return {
        "access": access_vectors(),
        "addresses": address_vectors(),
        "genesis": genesis_vectors(),
        "proofs": proof_vectors(_genesis(), key_of),
        "ranges": range_vectors(),
        "sequences": sequence_vectors(),
        "signatures": signature_vectors(),
        "state_trie": trie_vectors(),
        "transactions": transaction_vectors(),
    }


def as_text(content: Vectors) -> str:
    """Return the text of a file."""
    return json.dumps(content, indent=1) + "\n"


def key_of(name: str) -> SigningKey:
    """Return the key that stands for `name`; its seed is the hash of it, so no secret."""
    return SigningKey(digest(f"tanglewatt vector key {name}".encode()))


def address_vectors() -> Vectors:
    """Return wallets: words to key to address to text."""
    wallets = []
    for number in range(4):
        words = words_of(digest(b"tanglewatt vector wallet %d" % number))
        for account in (0, 1, 2**31 - 1):
            key = wallet_key(words, account)
            wallets.append(
                {
                    "words": words,
                    "seed": seed_of(words).hex(),
                    "account": account,
                    "key_seed": key.seed.hex(),
                    "public_key": key.public.hex(),
                    "address": address_of(key.public).hex(),
                    "text": encode_address(address_of(key.public)),
                }
            )
    return {
        "about": "BIP-39, no passphrase; SLIP-0010 m/44'/29815'/account'",
        "wallets": wallets,
    }


def _genesis() -> Genesis:
    coordinators = sorted(key_of(f"coordinator {number}").public for number in range(3))
    members = sorted((key_of(name).public, role) for name, role in (("a", "edge"), ("b", "member")))
    payees = sorted(address_of(key_of(name).public) for name in ("a", "b", "c"))
    return Genesis(
        name="vectors",
        created_at_ms=CREATED_AT_MS,
        ledger_start_ms=CREATED_AT_MS,
        parameters=Parameters(),
        coordinator_keys=tuple(coordinators),
        quorum=2,
        identities=tuple(GenesisIdentity(key, role) for key, role in members),
        allocations=tuple(Allocation(address, 10**9 + at) for at, address in enumerate(payees)),
    )


def genesis_vectors() -> Vectors:
    """Return one genesis and what follows from its bytes."""
    genesis = _genesis()
    first, second = entry_points(genesis)
    return {
        "bytes": encode(genesis).hex(),
        "hash": genesis_hash(genesis).hex(),
        "network": network_id(genesis).hex(),
        "entry_points": [first.hex(), second.hex()],
    }


def transaction_vectors() -> Vectors:
    """Return transactions of every kind, and bytes that are one in meaning but not in spelling."""
    meter = address_of(key_of("meter").public)
    longest = Data("d" * 64, bytes(range(256)) * 64)
    accepted = [
        _issued("empty data", 0, Data("promotion", b"")),
        _issued("data, one-byte lengths at their end", 127, Data("note", bytes(255))),
        _issued("data, two-byte lengths at their start", 128, Data("note", bytes(256))),
        _issued("data, the longest", MAX_INTEGER, longest),
        _issued("reading batch", 65_536, ReadingBatch(meter, 2**32, MAX_INTEGER, digest(b"r"))),
        _issued("operation", 2**32, Operation("transfer", b"\x93\x01\x02\x03")),
        _milestone(),
    ]
    return {
        "about": (
            "bytes = [signed fields, witness]; id = BLAKE2b-256('tanglewatt/transaction/1\\0' +"
            " signed fields); signatures cover the same bytes; nonce: the first from 0 that"
            f" carries the bits of {WORK_PER_BYTE} trials per byte of signed fields"
        ),
        "accepted": accepted,
        "refused": _respelled(),
    }


def _issued(name: str, sequence: int, payload: Payload) -> dict[str, object]:
    key = key_of("issuer")
    signed = _signed(key, sequence, payload)
    fields = encode(signed.transaction)
    assert isinstance(signed.witness, IssuerWitness)
    return {
        "name": name,
        "bytes": encode(signed).hex(),
        "signed_size": len(fields),
        "id": transaction_id(signed.transaction).hex(),
        "work_bits": required_bits(len(fields), WORK_PER_BYTE),
        "nonce": signed.witness.nonce.hex(),
        "keys": [{"seed": key.seed.hex(), "signature": signed.witness.signature.hex()}],
    }


def _signed(key: SigningKey, sequence: int, payload: Payload) -> SignedTransaction:
    genesis = _genesis()
    parents = tuple(sorted(entry_points(genesis)))
    transaction = Transaction(
        VERSION, network_id(genesis), parents, key.public, sequence, CREATED_AT_MS, payload
    )
    bits = required_bits(len(encode(transaction)), WORK_PER_BYTE)
    nonce = find_nonce(transaction_id(transaction), bits)
    return SignedTransaction(transaction, IssuerWitness(sign(transaction, key), nonce))


def _milestone() -> dict[str, object]:
    genesis = _genesis()
    first, second = entry_points(genesis)
    payload = Milestone(
        1, CREATED_AT_MS + 2_000, first, digest(b"inclusion"), digest(b"applied"), digest(b"state")
    )
    transaction = Transaction(
        VERSION,
        network_id(genesis),
        tuple(sorted((first, second))),
        MILESTONE_ISSUER,
        payload.index,
        payload.timestamp_ms,
        payload,
    )
    keys = sorted((key_of(f"coordinator {at}") for at in range(3)), key=lambda key: key.public)
    signatures = [(key, sign(transaction, key)) for key in keys[:2]]
    witness = MilestoneWitness(tuple(KeySignature(key.public, by) for key, by in signatures))
    return {
        "name": "milestone",
        "bytes": encode(SignedTransaction(transaction, witness)).hex(),
        "signed_size": len(encode(transaction)),
        "id": transaction_id(transaction).hex(),
        "work_bits": 0,
        "nonce": "",
        "keys": [{"seed": key.seed.hex(), "signature": by.hex()} for key, by in signatures],
    }


def _respelled() -> list[dict[str, str]]:
    """Return other spellings of one transaction; each breaks one rule of the encoding only."""
    signed = _signed(key_of("issuer"), 5, Data("note", b"abc"))
    data = encode(signed)
    network, issuer = signed.transaction.network, signed.transaction.issuer
    sequence = b"\xc4\x20" + issuer + b"\x05"
    payload = b"\x93\xa4data\xa4note\xc4\x03abc"

    def swap(rule: str, old: bytes, new: bytes) -> dict[str, str]:
        assert data.count(old) == 1, rule
        return {"rule": rule, "bytes": data.replace(old, new).hex()}

    return [
        {"rule": "no bytes at all", "bytes": ""},
        {"rule": "trailing byte", "bytes": (data + b"\0").hex()},
        {"rule": "cut short", "bytes": data[:-1].hex()},
        swap("integer in two bytes", sequence, sequence[:-1] + b"\xcc\x05"),
        swap("integer in nine bytes", sequence, sequence[:-1] + b"\xcf" + bytes(7) + b"\x05"),
        swap("signed integer", sequence, sequence[:-1] + b"\xd0\x05"),
        swap("integer as a float", sequence, sequence[:-1] + b"\xca\x40\xa0\0\0"),
        swap("integer as a boolean", sequence, sequence[:-1] + b"\xc3"),
        swap("negative integer", sequence, sequence[:-1] + b"\xff"),
        swap("integer above 2^63 - 1", sequence, sequence[:-1] + b"\xcf\x80" + bytes(7)),
        swap("text instead of bytes", b"\xc4\x03abc", b"\xa3abc"),
        swap("bytes instead of text", b"\xa4note", b"\xc4\x04note"),
        swap("two-byte length of bytes", b"\xc4\x03abc", b"\xc5\0\x03abc"),
        swap("four-byte length of bytes", b"\xc4\x03abc", b"\xc6\0\0\0\x03abc"),
        swap("one-byte length of short text", b"\xa4note", b"\xd9\x04note"),
        swap("long form of an array", payload, b"\xdc\0\x03" + payload[1:]),
        swap("map instead of an array", payload, b"\x81\xa4note\xc4\x03abc"),
        swap("empty map in place of the payload", payload, b"\x80"),
        swap("unknown tag", b"\xa4data", b"\xa4date"),
        swap("tag as bytes", b"\xa4data", b"\xc4\x04data"),
        swap("additional element", payload, b"\x94" + payload[1:] + b"\xc0"),
        swap("missing element", payload, b"\x92\xa4data\xa4note"),
        swap("nil in place of a field", b"\xc4\x03abc", b"\xc0"),
        swap("extension type", b"\xc4\x03abc", b"\xc7\x03\x01abc"),
        swap("network of 7 bytes", b"\xc4\x08" + network, b"\xc4\x07" + network[:7]),
        swap("issuer of 33 bytes", b"\xc4\x20" + issuer, b"\xc4\x21" + issuer + b"\0"),
        swap("empty label", b"\xa4note", b"\xa0"),
        swap("label with a space", b"\xa4note", b"\xa4no e"),
        swap("label with a newline at its end", b"\xa4note", b"\xa4not\n"),
        swap("label that is not ASCII", b"\xa4note", b"\xa4no\xc3\xa9"),
        swap("label that is not UTF-8", b"\xa4note", b"\xa4no\xff\xff"),
        swap("label of 65 bytes", b"\xa4note", b"\xd9\x41" + b"n" * 65),
        swap("data of 16,385 bytes", b"\xc4\x03abc", b"\xc5\x40\x01" + bytes(16_385)),
    ]


def signature_vectors() -> Vectors:
    """Return signatures that libraries disagree on; ours must refuse all but the honest one."""
    key, message = key_of("issuer"), b"tanglewatt/vector/1\0message"
    honest = key.sign(message)
    scalar = int.from_bytes(honest[32:], "little")
    identity = (1).to_bytes(32, "little")
    one = (FIELD_PRIME + 1).to_bytes(32, "little")
    order_2 = (FIELD_PRIME - 1).to_bytes(32, "little")
    order_4 = bytes(32)
    unreduced = _with_scalar(honest, scalar + GROUP_ORDER)
    cases = [
        ("honest", key.public, honest),
        ("S + L: the same scalar, not reduced", key.public, unreduced),
        ("S = L with R = identity", key.public, _with_scalar(identity * 2, GROUP_ORDER)),
        ("small-order key: the identity, R = identity, S = 0", identity, identity + bytes(32)),
        ("small-order key: order 2, R = identity, S = 0", order_2, identity + bytes(32)),
        ("small-order key: order 4, R = identity, S = 0", order_4, identity + bytes(32)),
        ("non-canonical key p + 1: the identity again", one, identity + bytes(32)),
        ("non-canonical key and R, p + 1", one, one + bytes(32)),
        ("small-order key with non-canonical R", identity, one + bytes(32)),
        ("identity with the sign bit set", identity[:31] + b"\x80", identity + bytes(32)),
        ("key that is not on the curve", (2).to_bytes(32, "little"), honest),
        ("honest key, R = identity, S = 0", key.public, identity + bytes(32)),
    ]
    return {
        "message": message.hex(),
        "cases": [
            {
                "name": name,
                "public_key": public.hex(),
                "signature": signature.hex(),
                "valid": name == "honest",
            }
            for name, public, signature in cases
        ],
    }


def _with_scalar(signature: bytes, scalar: int) -> bytes:
    return signature[:32] + scalar.to_bytes(32, "little")


def trie_vectors() -> Vectors:
    """Return roots of growing sets of rows, and proofs under the last one."""
    many = [b"row/%d" % number for number in range(4_096)]
    by_hash = sorted(many, key=digest)
    # Two keys whose hashes share the most bits: the chain of half-empty nodes that a compressed
    # path would have skipped.
    twins = min(pairwise(by_hash), key=lambda pair: _distance(*pair))
    keys = [*twins, *(b"balance/%d" % number for number in range(6)), b""]
    rows = {key: b"value of " + key for key in keys}
    tries = [Trie.of(dict(list(rows.items())[:count])) for count in range(len(rows) + 1)]
    absent = [b"balance/6", b"balance/7", b"row/none", b"\0"]
    return {
        "rows": [[key.hex(), value.hex()] for key, value in rows.items()],
        "roots_of_the_first": [trie.root.hex() for trie in tries],
        "presence": [[key.hex(), encode(tries[-1].prove(key)).hex()] for key in rows],
        "absence": [[key.hex(), encode(tries[-1].prove(key)).hex()] for key in absent],
        "absence_beside_the_twin": [twins[1].hex(), encode(tries[1].prove(twins[1])).hex()],
        "absence_from_nothing": [b"any".hex(), encode(tries[0].prove(b"any")).hex()],
    }


def _distance(first: bytes, second: bytes) -> int:
    return int.from_bytes(digest(first), "big") ^ int.from_bytes(digest(second), "big")


def sequence_vectors() -> Vectors:
    """Return numbers used one after the other, each with the answer and the row after it."""
    window, steps = sequences.SequenceWindow(), []
    for number in (1, 1, 3, 1_024, 1_023, 0, 0, 2, 1_027, 1_028, 4, MAX_INTEGER):
        used = sequences.use(window, number)
        reason = used if isinstance(used, Reason) else None
        window = window if isinstance(used, Reason) else used
        steps.append({"use": number, "reason": reason, "row": encode(window).hex()})
    return {"about": "integers go up to 2^63 - 1", "steps": steps}


def range_vectors() -> Vectors:
    """Return batches taken one after the other, each with the answer and the row after it."""
    held, steps = ranges.ReadingRanges(), []
    batches = [(5, 9), (0, 3), (9, 9), (4, 4), (20, 29), (0, 100), (12, 15), (10, 11), (16, 19)]
    batches += [(at, at) for at in range(31, 31 + 2 * ranges.MAX_GAPS, 2)]
    batches += [(2**40, MAX_INTEGER), (30, 30), (2**40, MAX_INTEGER)]
    for first, last in batches:
        taken = ranges.take(held, first, last)
        reason = taken if isinstance(taken, Reason) else None
        held = held if isinstance(taken, Reason) else taken
        steps.append({"take": [first, last], "reason": reason, "row": encode(held).hex()})
    return {"about": "integers go up to 2^63 - 1", "steps": steps}


if __name__ == "__main__":
    main()
