"""Every error this project raises on purpose.

    TanglewattError
    ├── InvalidError                     their fault, permanent; never retried
    │   ├── MalformedBytesError          bytes that are not the one spelling
    │   ├── InvalidTransactionError      what the ledger's rules forbid
    │   │   ├── WrongNetworkError
    │   │   ├── BadParentsError
    │   │   ├── BadPayloadError
    │   │   ├── BadSignatureError
    │   │   ├── MissingWorkError
    │   │   └── BadMilestoneError
    │   │       └── OtherLeaderError     proposed by a key that this co-signer does not follow
    │   ├── InvalidReadingError          what a meter must not send
    │   ├── InvalidReceiptError          what no meter may forget readings on
    │   ├── InvalidMessageError          what meter and home edge must not say to each other
    │   ├── InvalidRecordingError        a file of recorded registers that breaks its format
    │   ├── ForeignStoreError            a data file of another network or another key
    │   ├── DamagedStoreError            a data file that is not what was written
    │   ├── InvalidKeyFileError          a key file that is open to others, damaged or shut
    │   ├── InvalidCertificateError      a certificate that does not let its node link up
    │   ├── InvalidAddressError          text that is no address
    │   ├── InvalidSeedError             words, or a path, that lead to no key
    │   ├── InvalidRequestError          what a client of the HTTP API must not send
    │   ├── InvalidEndpointError         text that names no place to listen on or connect to
    │   ├── InvalidFrameError            what a peer must not send
    │   │   ├── UnknownSenderError
    │   │   ├── ForeignFrameError
    │   │   ├── ForgedFrameError
    │   │   ├── BannedSenderError
    │   │   └── ReplayedFrameError
    │   ├── RecoveryRefusedError         answers that make no lock for a coordinator
    │   ├── GroupError                   bytes that are no point or scalar of the group
    │   ├── InvalidSnapshotError         a snapshot that is damaged, forged or of another network
    │   ├── BackupRefusedError           a backup that would take something away
    │   └── InvalidProofError            a proof that does not prove
    ├── CommandError                     in `api.failures`: a command cannot go on, and says why
    └── UnavailableError                 legal, but not now; may be retried
        ├── NoTipsError
        ├── TooFarAheadError
        ├── BelowMaxDepthError
        ├── UnknownParentsError
        ├── UnknownIssuerError
        ├── QueueFullError
        ├── NotProvableError         what a node cannot prove now
        ├── MoreWorkNeededError          a door asks more of who sends much
        ├── ListenError                  an endpoint that cannot be listened on now
        ├── MeshClosedError
        └── StorageError                 a disk or a data folder that cannot be used now

A refused operation is not an error: it is a `Reason`, recorded in the ledger.
A broken invariant of our own is a plain `AssertionError`: let it crash.
"""


class TanglewattError(Exception):
    """Root of the tree; catch a branch, not the root."""


class InvalidError(TanglewattError):
    """Their fault and permanent: the same input fails on every node, for ever."""


class MalformedBytesError(InvalidError):
    """Bytes that do not decode, or that are not the canonical spelling of what they mean."""


class InvalidTransactionError(InvalidError):
    """A transaction the rules forbid whatever the state of the ledger."""


class WrongNetworkError(InvalidTransactionError):
    """A transaction made for another network or another protocol version."""


class BadParentsError(InvalidTransactionError):
    """Parents that are too few, too many, unsorted or repeated."""


class BadPayloadError(InvalidTransactionError):
    """A payload whose fields break a rule that needs no ledger to check."""


class BadSignatureError(InvalidTransactionError):
    """A signature that does not verify."""


class MissingWorkError(InvalidTransactionError):
    """Too little proof of work for the size of the transaction."""


class BadMilestoneError(InvalidTransactionError):
    """A milestone that breaks the rules of milestones."""


class OtherLeaderError(BadMilestoneError):
    """A milestone proposed by another leader than the one a co-signer is told to follow."""


class InvalidReadingError(InvalidError):
    """A reading that a meter of this network must not send."""


class InvalidReceiptError(InvalidError):
    """A receipt on which a meter must not forget its readings."""


class InvalidMessageError(InvalidError):
    """What a meter and its home edge must not say to each other."""


class InvalidRecordingError(InvalidError):
    """A file of recorded registers that cannot stand in for a meter."""


class ForeignStoreError(InvalidError):
    """A data file that belongs to another network, node or device than the one opening it."""


class DamagedStoreError(InvalidError):
    """A data file whose bytes are not what a node wrote into it."""


class InvalidKeyFileError(InvalidError):
    """A key file that others can read, that is damaged, or that the passphrase does not open."""


class InvalidCertificateError(InvalidError):
    """A certificate that is none, of another key than the node's own, or of another authority."""


class InvalidAddressError(InvalidError):
    """Text that is not an address or a public key."""


class InvalidSeedError(InvalidError):
    """A seed phrase, entropy or derivation path that leads to no key. Never shows a word."""


class InvalidRequestError(InvalidError):
    """A request to the HTTP API that is not of the form the API states."""


class InvalidEndpointError(InvalidError):
    """Text that names no place to listen on or connect to."""


class InvalidFrameError(InvalidError):
    """A gossip frame that is not to be read, whatever it carries."""


class UnknownSenderError(InvalidFrameError):
    """A frame of a sender that is not among the configured peers."""


class ForeignFrameError(InvalidFrameError):
    """A frame made for another network."""


class ForgedFrameError(InvalidFrameError):
    """A frame whose signature is not by the sender it names."""


class BannedSenderError(InvalidFrameError):
    """A frame of a sender that is not heard for a while, for what it sent before."""


class ReplayedFrameError(InvalidFrameError):
    """A frame heard before, or too old to tell."""


class RecoveryRefusedError(InvalidError):
    """Answers of peers from which no lock of a coordinator may be made."""


class BackupRefusedError(InvalidError):
    """A backup that may not take the place of a journal which holds, or may hold, more."""


class InvalidProofError(InvalidError):
    """A proof that does not lead to the root it is held against."""


class GroupError(InvalidError):
    """Bytes that are no point or scalar which the group of the threshold scheme has a use for."""


class InvalidSnapshotError(InvalidError):
    """A snapshot that is damaged, forged, or of another network."""


class UnavailableError(TanglewattError):
    """No one's fault and not permanent: the same input may pass later."""


class NoTipsError(UnavailableError):
    """There is nothing to approve yet: the node is still solidifying."""


class TooFarAheadError(UnavailableError):
    """A time further ahead of this node's clock than the network tolerates."""


class BelowMaxDepthError(UnavailableError):
    """A transaction that approves something too old to be referenced any more."""


class UnknownParentsError(UnavailableError):
    """A transaction that approves what this node does not have yet."""


class UnknownIssuerError(UnavailableError):
    """An issuer that nobody has registered yet."""


class QueueFullError(UnavailableError):
    """A bounded queue that holds its maximum; retry when it has drained."""


class NotProvableError(UnavailableError):
    """What no milestone settles yet, or what this node no longer keeps the evidence of."""


class MoreWorkNeededError(UnavailableError):
    """Work that suffices for the network, and not for this door while its issuer sends so much."""

    def __init__(
        self, message: str, bits_found: int = 0, bits_asked: int = 0, retry_ms: int = 1_000
    ) -> None:
        super().__init__(message)
        self.bits_found = bits_found
        self.bits_asked = bits_asked
        self.retry_ms = retry_ms
        """Wall time after which what was found is enough, if nothing else comes."""


class ListenError(UnavailableError):
    """An endpoint that this node cannot listen on: in use, or not an address of this machine."""


class MeshClosedError(UnavailableError):
    """A mesh that has been closed: it neither receives nor sends any more."""


class StorageError(UnavailableError):
    """A disk that is full, failing or read-only, or a data folder that another process holds."""
