"""The access vectors, held against plain integers and against a wide range of readers."""

from typing import Any, Final

from access.codes import Code
from access.streams.sealing import Addresses, ChunkLabel, open_addresses, open_readings
from access.tokens.dact import acceptance_message, commitment, decode_dact, grant_message
from tangle.codec import Decoder
from tangle.hashing import digest
from tangle.keys import SigningKey, is_signed
from tests.access.threshold import reference_group as group
from tests.access.threshold import reference_tdh2 as tdh2
from tests.vectors import load

VECTORS: Final[dict[str, Any]] = load("access")


def raw(*path: str) -> bytes:
    value: Any = VECTORS
    for name in path:
        value = value[name]
    return bytes.fromhex(value)


def test_the_sharing_is_what_plain_integers_say() -> None:
    sharing = VECTORS["sharing"]
    secret = [bytes.fromhex(one) for one in sharing["secret_coefficients"]]
    coefficients = [int.from_bytes(one, "little") for one in secret]

    points = [group.multiply(one, group.BASE) for one in coefficients]
    shares = [tdh2.share(coefficients, index) for index in range(1, 6)]

    assert [group.encode(one).hex() for one in points] == sharing["commitments"]
    assert [tdh2.scalar(one).hex() for one in shares] == sharing["shares"]
    keys = [group.encode(group.multiply(one, group.BASE)).hex() for one in shares]
    assert keys == sharing["verification_keys"]
    assert group.encode(tdh2.SECOND).hex() == VECTORS["second_base"]


def test_capsule_and_partials_are_what_plain_integers_say() -> None:
    public = group.decode(bytes.fromhex(VECTORS["sharing"]["commitments"][0]))
    label, capsule = raw("capsule", "label"), raw("capsule", "capsule")
    partials = [bytes.fromhex(one) for one in VECTORS["partials"]]
    keys = [bytes.fromhex(one) for one in VECTORS["sharing"]["verification_keys"]]

    made = tdh2.encapsulate(public, label, raw("capsule", "entropy"))

    assert made == (capsule, raw("capsule", "key"))
    assert tdh2.is_capsule(capsule, label)
    for index, (partial, key) in enumerate(zip(partials, keys, strict=True), start=1):
        assert int.from_bytes(partial[:2], "big") == index
        assert tdh2.is_partial(partial, capsule, label, group.decode(key))
    for chosen in ((1, 2, 3), (1, 3, 5), (2, 4, 5)):
        points = {one: group.decode(partials[one - 1][2:34]) for one in chosen}
        assert tdh2.combine(points, capsule, label) == raw("capsule", "key")


def test_the_chunk_opens() -> None:
    name = raw("capsule", "label")
    prefix = b"tanglewatt/access.label/1\0"
    label = Decoder(ChunkLabel, "label", 512).decode(name.removeprefix(prefix))
    key, data = raw("capsule", "key"), raw("chunk", "data")
    sealed, committed = raw("chunk", "sealed_addresses"), raw("chunk", "key_commitment")

    addresses = open_addresses(key, label, committed, sealed)

    assert addresses == Addresses(digest(data), digest(raw("chunk", "privacy")))
    opened = open_readings(key, label, raw("chunk", "root"), digest(data), data)
    assert not isinstance(opened, Code)
    assert [[number, plain.hex()] for number, plain in opened] == VECTORS["chunk"]["readings"]


def test_the_grant_is_signed_and_committed_to() -> None:
    signed = decode_dact(raw("grant", "signed_dact"))
    owner, subject = (SigningKey(raw("grant", one)) for one in ("owner_seed", "subject_seed"))
    dact = signed.dact

    assert is_signed(owner.public, grant_message(dact), signed.grantor_signature)
    assert is_signed(subject.public, acceptance_message(dact), signed.subject_signature)
    assert commitment(signed, raw("grant", "salt")) == raw("grant", "commitment")
