"""A vault on the ledger: who deals it, who holds shares, and by which commitments they check."""

from typing import Annotated, Final, Literal

import msgspec

from access.threshold.feldman import MAX_THRESHOLD
from access.threshold.group import PointField
from access.threshold.scalars import MAX_INDEX
from tangle.address import AddressField
from tangle.codec import Decoder, encode
from tangle.cohorts import MAX_NODES
from tangle.hashing import digest, domain
from tangle.rows import RowReader
from tangle.transaction import Counter, HashField, Label

VAULT_PREFIX: Final = b"access/vault/"
_MAX_ROW_SIZE: Final = 8_192
_VAULT: Final = domain("access.vault")

VaultState = Literal["dealing", "active", "retired", "broken"]
Index = Annotated[int, msgspec.Meta(ge=1, le=MAX_INDEX)]
"""Of a node's share: its place among the nodes of the vault, from 1."""

Commitments = Annotated[
    tuple[PointField, ...], msgspec.Meta(min_length=1, max_length=MAX_THRESHOLD)
]


class Sharing(msgspec.Struct, frozen=True, array_like=True):
    """One polynomial: its commitments, and which nodes found their shares consistent."""

    number: Counter
    """From 1; each refresh makes the next. Shares of two sharings do not mix."""

    commitments: Commitments
    """Constant term first. As many as the threshold: no token can lower it."""

    acknowledged: Annotated[tuple[Index, ...], msgspec.Meta(max_length=MAX_NODES)]
    """Ascending. Once the sharing is in force: the nodes that can be asked."""


class Vault(msgspec.Struct, frozen=True, array_like=True):
    """A row: one per public key."""

    owner: AddressField
    cohort: Label
    generation: Counter
    """Of the cohort: another one needs another vault."""

    nodes: Annotated[tuple[AddressField, ...], msgspec.Meta(min_length=1, max_length=MAX_NODES)]
    """Of the cohort when it was dealt: the index of a share is the place here."""

    state: VaultState
    sharing: Sharing | None
    """In force; `None` before the first one is."""

    pending: Sharing | None
    """Dealt, and not in force yet."""

    @property
    def k(self) -> int:
        """How many shares open a capsule."""
        sharing = self.sharing or self.pending
        assert sharing is not None, "a vault has a sharing from its first deal on"
        return len(sharing.commitments)

    @property
    def public(self) -> bytes:
        """The key that capsules are made for."""
        sharing = self.sharing or self.pending
        assert sharing is not None, "a vault has a sharing from its first deal on"
        return sharing.commitments[0]


class _VaultName(msgspec.Struct, frozen=True, array_like=True):
    genesis_hash: HashField
    owner: AddressField
    cohort: Label
    generation: Counter
    public: PointField


_vaults: Final = Decoder(Vault, "vault row", _MAX_ROW_SIZE)


def vault_id(
    genesis_hash: bytes, owner: bytes, cohort: str, generation: int, public: bytes
) -> bytes:
    """Return the id of a vault: a refresh keeps it, another owner, cohort or key does not."""
    return digest(_VAULT + encode(_VaultName(genesis_hash, owner, cohort, generation, public)))  # type: ignore[arg-type]


def vault_key(identifier: bytes) -> bytes:
    """Return the key of a vault's row."""
    return VAULT_PREFIX + identifier


def vault(rows: RowReader, identifier: bytes) -> Vault | None:
    """Return a vault."""
    value = rows.get(vault_key(identifier))
    return None if value is None else _vaults.read(value)


def decode_row(key: bytes, value: bytes) -> Vault | None:
    """Return what a vault's row says; `None` for a row of another kind.

    Raises:
        MalformedBytesError: The value is none of that key.
    """
    return _vaults.decode(value) if key.startswith(VAULT_PREFIX) else None


def acknowledgements_needed(k: int, n: int) -> int:
    """Return with how many acknowledgements an owner may open a vault.

    With f nodes missing or false, k > f keeps the secret and n − f ≥ k keeps it usable; f is the
    most that both allow.
    """
    return n - min(k - 1, n - k)
