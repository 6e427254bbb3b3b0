"""Vectors of the access protocol: the threshold scheme, a chunk, a grant and its signatures."""

from typing import Final

from access.identity.life_cycle import next_key_hash
from access.requests.records import grant_id, salt_hash
from access.streams.sealing import (
    ChunkLabel,
    PrivacyRecord,
    chunk_keys,
    label_bytes,
    seal_chunk,
)
from access.threshold import feldman, tdh2
from access.tokens.dact import (
    AccessContext,
    Dact,
    Limits,
    Obligations,
    Place,
    Resource,
    SignedDact,
    Threshold,
    Window,
    acceptance_message,
    commitment,
    grant_message,
)
from tangle.address import address_of
from tangle.codec import encode
from tangle.hashing import digest
from tangle.keys import SigningKey

_K: Final = 3
_N: Final = 5
_OWNER: Final = SigningKey(digest(b"access vectors: owner"))
_SUBJECT: Final = SigningKey(digest(b"access vectors: subject"))
_GENESIS_HASH: Final = digest(b"access vectors: genesis")
_SALT: Final = digest(b"access vectors: salt")


def access_vectors() -> dict[str, object]:
    """Return every intermediate value: another implementation finds where it differs."""
    polynomial = feldman.new_polynomial(_K, _entropy("polynomial", feldman.entropy_size(_K)))
    commitments = feldman.commit(polynomial)
    label = ChunkLabel(_GENESIS_HASH, digest(b"stream"), 7, 0, 900_000, digest(b"v"), "home", 1)
    entropy = _entropy("capsule", tdh2.ENCAPSULATION_ENTROPY)
    name = label_bytes(label)
    capsule, key = tdh2.encapsulate(commitments[0], name, entropy)
    return {
        "second_base": tdh2.SECOND_BASE.hex(),
        "sharing": {
            "secret_coefficients": [one.hex() for one in polynomial.coefficients],
            "commitments": [one.hex() for one in commitments],
            "shares": [feldman.deal(polynomial, one).hex() for one in range(1, _N + 1)],
            "verification_keys": [
                feldman.verification_key(commitments, one).hex() for one in range(1, _N + 1)
            ],
        },
        "capsule": {
            "label": name.hex(),
            "entropy": entropy.hex(),
            "capsule": capsule.hex(),
            "key": key.hex(),
        },
        "partials": [
            tdh2.make_partial(
                capsule, name, one, feldman.deal(polynomial, one), _entropy(f"partial {one}", 64)
            ).hex()
            for one in range(1, _N + 1)
        ],
        "chunk": _chunk(commitments[0], label, entropy, key),
        "grant": _grant(),
        "next_key_hash": next_key_hash(_SUBJECT.public).hex(),
    }


def _chunk(public: bytes, label: ChunkLabel, entropy: bytes, key: bytes) -> dict[str, object]:
    readings = [(4, b"first"), (9, b"second")]
    privacy = PrivacyRecord(bytes(range(16)), "home-1", "charging", "delete it", 86_400_000)
    sealed = seal_chunk(public, label, readings, privacy, entropy)
    keys = chunk_keys(key)
    return {
        "readings": [[number, plain.hex()] for number, plain in readings],
        "data_key": keys.data.hex(),
        "address_key": keys.address.hex(),
        "key_commitment": sealed.key_commitment.hex(),
        "data": sealed.data.hex(),
        "privacy": sealed.privacy.hex(),
        "root": sealed.root.hex(),
        "sealed_addresses": sealed.sealed_addresses.hex(),
    }


def _grant() -> dict[str, object]:
    place = Place("station", (address_of(_OWNER.public),))
    dact = Dact(
        1,
        _GENESIS_HASH,
        bytes(range(16)),
        1_000,
        address_of(_OWNER.public),
        address_of(_SUBJECT.public),
        Resource(digest(b"v"), digest(b"stream"), 0, 3_600_000),
        ("delegate", "read"),
        AccessContext(1_000, 2_000, "CET", (Window(1_320, 360),), place, "charging", bytes(32)),
        Threshold("home", 1, 3, 5),
        Limits(10, 100, 5),
        2,
        0,
        None,
        2,
        Obligations(86_400_000, 0),
    )
    granted = _OWNER.sign(grant_message(dact))
    signed = SignedDact(dact, granted, _SUBJECT.sign(acceptance_message(dact)))
    hashed = salt_hash(_SALT)
    return {
        "owner_seed": _OWNER.seed.hex(),
        "subject_seed": _SUBJECT.seed.hex(),
        "signed_dact": encode(signed).hex(),
        "salt": _SALT.hex(),
        "salt_hash": hashed.hex(),
        "commitment": commitment(signed, _SALT).hex(),
        "grant_id": grant_id(address_of(_OWNER.public), hashed).hex(),
    }


def _entropy(name: str, size: int) -> bytes:
    """Return bytes that follow from a name: they are random to nobody."""
    blocks = [digest(f"access vectors: {name} {at}".encode()) for at in range(-(-size // 32))]
    return b"".join(blocks)[:size]
