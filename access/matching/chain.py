"""Check e: who granted, who accepted, and that nothing grew on the way to the subject."""

from itertools import pairwise

from access.codes import Code
from access.identity.idot import signing_key
from access.matching.case import Case
from access.requests.records import Grant, grant, grant_id, salt_hash
from access.tokens.dact import (
    Dact,
    ShownGrant,
    acceptance_message,
    commitment,
    grant_message,
)
from access.tokens.delegation import widened
from access.vaults.vault import vault
from tangle.accounts import network_hash
from tangle.address import Address
from tangle.keys import is_signed
from tangle.rows import RowReader


def check_signatures(case: Case) -> Code | None:
    """Return why the chain of grants does not hold, or `None`."""
    rows, chain = case.at.rows, case.ask.grants
    root = chain[-1].signed.dact
    if any(one.signed.dact.genesis_hash != network_hash(rows) for one in chain):
        return Code.DENY_SIG
    grantors = [*(one.signed.dact.subject for one in chain[1:]), root.owner]
    for one, grantor in zip(chain, grantors, strict=True):
        if not _is_signed(rows, one, grantor):
            return Code.DENY_SIG
    if not _is_owners(case, root):
        return Code.DENY_OWNER
    is_whole = root.parent is None and _is_entered(case.grant, chain[0])
    is_whole = is_whole and all(_is_passed_on(case, *pair) for pair in pairwise(chain))
    return None if is_whole else Code.DENY_DELEGATION


def _is_signed(rows: RowReader, one: ShownGrant, grantor: Address) -> bool:
    dact = one.signed.dact
    granting, accepting = signing_key(rows, grantor), signing_key(rows, dact.subject)
    return (
        granting is not None
        and accepting is not None
        and is_signed(granting, grant_message(dact), one.signed.grantor_signature)
        and is_signed(accepting, acceptance_message(dact), one.signed.subject_signature)
    )


def _is_owners(case: Case, root: Dact) -> bool:
    """Return whether the root's owner owns the vault, and the ledger says the same of the grant."""
    held = vault(case.at.rows, root.resource.vault)
    if held is None or case.grant is None:
        return False
    return held.owner == root.owner and case.grant.vault == root.resource.vault


def _is_entered(held: Grant | None, shown: ShownGrant) -> bool:
    """Return whether the ledger has a grant under the parent that its document names.

    The ledger takes a grant without parent from the vault's owner alone: what the owner signed and
    did not enter, nobody else enters for it as if it were passed on.
    """
    return held is not None and held.parent == shown.signed.dact.parent


def _is_passed_on(case: Case, child: ShownGrant, parent: ShownGrant) -> bool:
    """Return whether a parent is registered and alive, and its child no wider."""
    identifier = child.signed.dact.parent
    held = None if identifier is None else grant(case.at.rows, identifier)
    if held is None or held.revocation is not None or case.to_ms >= held.not_after_ms:
        return False
    is_registered = (
        grant_id(held.registrar, salt_hash(parent.salt)) == identifier
        and commitment(parent.signed, parent.salt) == held.commitment
    )
    is_registered = is_registered and _is_entered(held, parent)
    return is_registered and not widened(child.signed.dact, parent.signed.dact)
