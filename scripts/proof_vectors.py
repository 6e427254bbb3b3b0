"""Vectors of proofs: some that hold over two changes of the coordinator keys, and what does not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from tangle.accounts import COORDINATORS_KEY, CoordinatorKeys, Token, balance_key, genesis_rows
from tangle.address import address_of
from tangle.anchors import Anchor, Rotation, prove_rotation
from tangle.codec import encode
from tangle.genesis import Genesis, entry_points, network_id
from tangle.hashing import digest
from tangle.keys import SigningKey
from tangle.merkle import merkle_root
from tangle.proofs import (
    Proof,
    TransactionProof,
    encode_proof,
    prove_address,
    prove_row,
    prove_transaction,
)
from tangle.proven import Proven, ProvenAddress, ProvenRow, ProvenTransaction, verify_proof
from tangle.rows import Rows
from tangle.transaction import (
    MILESTONE_ISSUER,
    NONCE_SIZE,
    VERSION,
    Data,
    IssuerWitness,
    KeySignature,
    Milestone,
    MilestoneWitness,
    SignedTransaction,
    Transaction,
    TransactionId,
    sign,
    transaction_id,
)
from tangle.trie import Trie

Keys = tuple[SigningKey, ...]
KeyOf = Callable[[str], SigningKey]

_INTERVAL_MS: Final = 2_000


@dataclass(frozen=True, slots=True)
class _World:
    """One network of three generations of coordinator keys."""

    genesis: Genesis
    first: Keys
    second: Keys
    third: Keys
    issuer: SigningKey


def proof_vectors(genesis: Genesis, key_of: KeyOf) -> dict[str, object]:
    """Return proofs under one genesis, whose coordinators are `key_of("coordinator 0")` to 2."""
    keys = [key_of(f"coordinator {number}") for number in range(7)]
    world = _World(genesis, tuple(keys[:3]), tuple(keys[3:6]), (keys[6],), key_of("b"))
    return {
        "about": "held against the genesis; nonces are zero: work is no part of a proof",
        "genesis": encode(genesis).hex(),
        "accepted": [
            {"name": name, "bytes": encode_proof(proof).hex(), **_proves(proof, genesis)}
            for name, proof in _accepted(world)
        ],
        "refused": [{"rule": rule, "bytes": data.hex()} for rule, data in _refused(world)],
    }


def _accepted(world: _World) -> Sequence[tuple[str, Proof]]:
    rows = _rows(world, world.third)
    late = Anchor(_rotations(world), _milestone(world, 25, rows, world.third))
    early = Anchor((), _milestone(world, 5, _rows(world, world.first), world.first[:2]))
    trie, state = Trie.of(rows), Rows(rows)
    payee = address_of(world.issuer.public)
    nobody = address_of(world.first[0].public)
    return [
        ("applied, after two rotations", _transaction_proof(world, late)),
        ("applied, before any rotation", _transaction_proof(world, early)),
        ("referenced, no more", _without_applied(_transaction_proof(world, late))),
        ("row that is there", prove_row(late, trie, state, balance_key(Token.EEURO, payee))),
        ("row that is not there", prove_row(late, trie, state, balance_key(Token.ENT, payee))),
        ("address that holds something", prove_address(late, trie, state, payee)),
        ("address that holds nothing", prove_address(late, trie, state, nobody)),
    ]


def _refused(world: _World) -> Sequence[tuple[str, bytes]]:
    rows = _rows(world, world.third)
    to_second, to_third = _rotations(world)
    signed = _milestone(world, 25, rows, world.third)
    good = _transaction_proof(world, Anchor((to_second, to_third), signed))
    data = encode_proof(good)
    same = _rotation(world, 20, world.second, world.second[:2])
    weak = _rotation(world, 20, world.third + world.first[:1], world.second[:2], quorum=1)
    foreign = replace(world, genesis=msgspec.structs.replace(world.genesis, name="foreign"))

    def under(*rotations: Rotation, index: int = 25, signers: Keys = world.third) -> bytes:
        milestone = _milestone(world, index, rows, signers)
        return encode_proof(_transaction_proof(world, Anchor(rotations, milestone)))

    return [
        ("the checksum is of the proof", data[:-1] + bytes([data[-1] ^ 1])),
        ("a quorum of the keys must sign", under(index=5, signers=world.first[:1])),
        ("keys hold no longer than to their rotation", under(to_second, signers=world.first[:2])),
        ("keys do not hold at their own rotation", under(index=10, signers=world.second[:2])),
        ("no rotation is left out", under(to_third)),
        ("rotations are in order", under(to_third, to_second)),
        (
            "a rotation is before the milestone",
            under(to_second, to_third, index=20, signers=world.second[:2]),
        ),
        ("a rotation changes the keys", under(to_second, same, signers=world.second[:2])),
        ("a quorum is more than half of the keys", under(to_second, weak)),
        (
            "the row of a rotation is under its state root",
            under(to_second, msgspec.structs.replace(to_third, milestone=same.milestone)),
        ),
        ("the network is that of genesis", encode_proof(_accepted(foreign)[1][1])),
        (
            "the transaction is under the inclusion root",
            encode_proof(msgspec.structs.replace(good, transaction=_note(world, b"other"))),
        ),
        (
            "the issuer signed the transaction",
            encode_proof(msgspec.structs.replace(good, transaction=_note(world, signed=False))),
        ),
        (
            "an applied transaction is under the applied root",
            encode_proof(msgspec.structs.replace(good, applied=good.inclusion)),
        ),
        ("a row that is there is not absent", _hidden_row(world, rows)),
    ]


def _without_applied(proof: TransactionProof) -> TransactionProof:
    """Return `proof` without the part that shows that the transaction was applied."""
    return msgspec.structs.replace(proof, applied=None)


def _hidden_row(world: _World, rows: Mapping[bytes, bytes]) -> bytes:
    anchor = Anchor(_rotations(world), _milestone(world, 25, rows, world.third))
    shown = prove_row(anchor, Trie.of(rows), Rows(rows), COORDINATORS_KEY)
    hidden = msgspec.structs.replace(shown.row, value=None)
    return encode_proof(msgspec.structs.replace(shown, row=hidden))


def _proves(proof: Proof, genesis: Genesis) -> dict[str, object]:
    proven: Proven = verify_proof(proof, genesis)
    milestone = {"index": proven.milestone.index, "timestamp_ms": proven.milestone.timestamp_ms}
    match proven:
        case ProvenTransaction():
            return {**milestone, "id": proven.tx_id.hex(), "applied": proven.is_applied}
        case ProvenRow():
            value = None if proven.value is None else proven.value.hex()
            return {**milestone, "key": proven.key.hex(), "value": value}
        case ProvenAddress():
            return {
                **milestone,
                "address": proven.address.hex(),
                "ent_uent": proven.ent_uent,
                "eeuro_ueur": proven.eeuro_ueur,
                "next_sequence": proven.next_sequence,
                "role": None if proven.identity is None else proven.identity.role,
            }


def _rotations(world: _World) -> tuple[Rotation, Rotation]:
    return (
        _rotation(world, 10, world.second, world.first[1:]),
        _rotation(world, 20, world.third, world.second[:2]),
    )


def _rotation(
    world: _World, index: int, new: Keys, signers: Keys, quorum: int | None = None
) -> Rotation:
    rows = _rows(world, new, quorum)
    milestone = _milestone(world, index, rows, signers)
    return prove_rotation(milestone, Trie.of(rows), rows[COORDINATORS_KEY])


def _rows(world: _World, keys: Keys, quorum: int | None = None) -> dict[bytes, bytes]:
    ascending = tuple(sorted(key.public for key in keys))
    named = CoordinatorKeys(ascending, len(keys) // 2 + 1 if quorum is None else quorum)
    return {**genesis_rows(world.genesis), COORDINATORS_KEY: encode(named)}


def _ids(world: _World) -> tuple[list[TransactionId], list[TransactionId]]:
    """Return what every milestone here references, and what of it was applied."""
    others = [TransactionId(digest(b"other %d" % number)) for number in range(4)]
    own = transaction_id(_draft(world))
    return [*others[:3], own, others[3]], [others[0], own]


def _transaction_proof(world: _World, anchor: Anchor) -> TransactionProof:
    own = (transaction_id(_draft(world)), _note(world))
    return prove_transaction(anchor, own, *_ids(world))


def _draft(world: _World, text: bytes = b"proof") -> Transaction:
    return Transaction(
        VERSION,
        network_id(world.genesis),
        tuple(sorted(entry_points(world.genesis))),
        world.issuer.public,
        0,
        world.genesis.created_at_ms,
        Data("vector", text),
    )


def _note(world: _World, text: bytes = b"proof", *, signed: bool = True) -> bytes:
    draft = _draft(world, text)
    signature = sign(draft, world.issuer if signed else world.first[0])
    return encode(SignedTransaction(draft, IssuerWitness(signature, bytes(NONCE_SIZE))))


def _milestone(world: _World, index: int, rows: Mapping[bytes, bytes], signers: Keys) -> bytes:
    first, second = entry_points(world.genesis)
    timestamp_ms = world.genesis.ledger_start_ms + index * _INTERVAL_MS
    referenced, applied = _ids(world)
    roots = (merkle_root(referenced), merkle_root(applied), Trie.of(rows).root)
    draft = Transaction(
        VERSION,
        network_id(world.genesis),
        tuple(sorted((first, second))),
        MILESTONE_ISSUER,
        index,
        timestamp_ms,
        Milestone(index, timestamp_ms, first, *roots),
    )
    ordered = sorted(signers, key=lambda key: key.public)
    signatures = tuple(KeySignature(key.public, sign(draft, key)) for key in ordered)
    return encode(SignedTransaction(draft, MilestoneWitness(signatures)))
