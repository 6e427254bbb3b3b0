"""Certificates of the mesh: the community's own authority, and one certificate for each node.

A node's certificate holds the Ed25519 key that also signs the node's frames, and names it: whoever
passes the handshake has proven that key. The authority signs with a key of the community's own, so
nobody outside it has a say in who may link up.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tangle.errors import InvalidCertificateError, StorageError
from tangle.keys import PublicKey, SigningKey

AUTHORITY_DAYS: Final = 3_650
CERTIFICATE_DAYS: Final = 365
BACKDATED_DAYS: Final = 1
"""Clocks of other machines may be behind this one."""

SERIAL_SIZE: Final = 16
"""Random bytes of a serial number; RFC 5280 allows 20."""

MAX_CERTIFICATE_FILE_SIZE: Final = 64 * 2**10


@dataclass(frozen=True, slots=True)
class Credentials:
    """By what a node proves itself to its peers, and tells who is one."""

    key: SigningKey
    certificate: bytes
    """PEM."""

    authority: bytes
    """PEM; several while one authority takes the place of another."""

    ends_at_ms: int
    """Wall time after which peers refuse the certificate."""


def node_common_name(key: bytes) -> str:
    """Return the name a certificate gives a node: its key in hex.

    64 digits without a dot are no host name, so no public authority ever vouches for one.
    """
    return key.hex()


def issue_authority(key: SigningKey, network: bytes, now_ms: int, serial: bytes) -> bytes:
    """Return the certificate of a community's authority, PEM, valid for ten years.

    Args:
        key: Of the authority.
        network: First 8 bytes of the genesis hash.
        now_ms: Wall time.
        serial: 16 random bytes.
    """
    name = _named(f"tanglewatt authority {network.hex()}")
    usage = _key_usage(is_authority=True)
    builder = (
        _builder(key.public, now_ms, AUTHORITY_DAYS, serial)
        .subject_name(name)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    return builder.sign(_private(key), None).public_bytes(Encoding.PEM)


def issue_certificate(
    key: SigningKey, authority: bytes, node: PublicKey, now_ms: int, serial: bytes
) -> bytes:
    """Return a certificate for a node, PEM, valid for a year, for either end of a link.

    Args:
        key: Of the authority.
        authority: Certificate of the authority, PEM.
        node: The node's own key.
        now_ms: Wall time.
        serial: 16 random bytes.

    Raises:
        InvalidCertificateError: `authority` is no certificate, or not of `key`.
    """
    issuer = _parsed(authority, "authority")[0]
    if _subject_key(issuer) != key.public:
        raise InvalidCertificateError(
            f"authority: the certificate is not of the key {key.public.hex()}"
        )
    both_ends = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        _builder(node, now_ms, CERTIFICATE_DAYS, serial)
        .subject_name(_named(node_common_name(node)))
        .issuer_name(issuer.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both_ends), critical=False)
    )
    return builder.sign(_private(key), None).public_bytes(Encoding.PEM)


def ends_at_ms(certificate: bytes, name: str) -> int:
    """Return the wall time after which a certificate, PEM, is refused.

    Raises:
        InvalidCertificateError: `certificate` is none; `name` says which.
    """
    return _end_ms(_parsed(certificate, name)[0])


def make_credentials(
    key: SigningKey, certificate: bytes, authority: bytes, name: str = "certificate"
) -> Credentials:
    """Return what a node links up with; whether it has expired is for the caller to judge.

    Args:
        key: The node's own.
        certificate: PEM.
        authority: PEM, one or several.
        name: Of the certificate, for messages.

    Raises:
        InvalidCertificateError: Not a certificate, of another key, or of another authority.
    """
    own = _parsed(certificate, name)[0]
    names = [one.value for one in own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if _subject_key(own) != key.public or names != [node_common_name(key.public)]:
        raise InvalidCertificateError(
            f"{name}: is of another key than the node's own, {key.public.hex()}"
        )
    issuers = [one for one in _parsed(authority, "authority") if _is_issued_by(own, one)]
    if not issuers:
        raise InvalidCertificateError(f"{name}: is not signed by the authority of this network")
    until_ms = min(_end_ms(own), max(map(_end_ms, issuers)))
    return Credentials(key, certificate, authority, until_ms)


def read_credentials(key: SigningKey, certificate_file: Path, authority_file: Path) -> Credentials:
    """Return what a node links up with, from its files.

    Raises:
        InvalidCertificateError: As `make_credentials`; or a file is missing, or too long.
        StorageError: The disk fails.
    """
    certificate, authority = (
        read_certificate(certificate_file),
        read_certificate(authority_file),
    )
    return make_credentials(key, certificate, authority, str(certificate_file))


def read_certificate(file: Path) -> bytes:
    """Return the bytes of a certificate file. Raises as `read_credentials` for the file alone."""
    try:
        # Without O_NONBLOCK a named pipe in its place would hold the node up for ever.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
        try:
            data = os.read(descriptor, MAX_CERTIFICATE_FILE_SIZE + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise InvalidCertificateError(f"{file}: there is no such file") from error
    except OSError as error:
        raise StorageError(f"certificate {file}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_CERTIFICATE_FILE_SIZE:
        raise InvalidCertificateError(f"{file}: more than {MAX_CERTIFICATE_FILE_SIZE} bytes")
    return data


def private_key_pem(key: SigningKey) -> bytes:
    """Return a secret key as TLS wants it. For memory only: it never goes to disk."""
    return _private(key).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _builder(key: PublicKey, now_ms: int, days: int, serial: bytes) -> x509.CertificateBuilder:
    """Return what both kinds of certificate have in common."""
    now = datetime.fromtimestamp(now_ms // 1_000, UTC)
    return (
        x509.CertificateBuilder()
        .public_key(Ed25519PublicKey.from_public_bytes(key))
        # the leading 1 keeps it positive, as RFC 5280 wants, whatever was drawn
        .serial_number(int.from_bytes(b"\x01" + serial, "big"))
        .not_valid_before(now - timedelta(days=BACKDATED_DAYS))
        .not_valid_after(now + timedelta(days=days))
    )


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _private(key: SigningKey) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(key.seed)


def _parsed(data: bytes, name: str) -> list[x509.Certificate]:
    """Return at least one certificate."""
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise InvalidCertificateError(f"{name}: holds no certificate in PEM") from error


def _subject_key(certificate: x509.Certificate) -> bytes | None:
    key = certificate.public_key()
    return key.public_bytes_raw() if isinstance(key, Ed25519PublicKey) else None


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _end_ms(certificate: x509.Certificate) -> int:
    return int(certificate.not_valid_after_utc.timestamp()) * 1_000
