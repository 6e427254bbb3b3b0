import os
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from edge.mesh.certificates import (
    MAX_CERTIFICATE_FILE_SIZE,
    SERIAL_SIZE,
    ends_at_ms,
    issue_certificate,
    make_credentials,
    private_key_pem,
    read_credentials,
)
from tangle.errors import InvalidCertificateError, StorageError
from tangle.keys import SigningKey
from tests.edge.certifying import (
    AUTHORITY,
    DAY_MS,
    FOREIGN_AUTHORITY,
    NOW_MS,
    YEAR_MS,
    authority_of,
    credentials_of,
    serial,
)

NODE = SigningKey(b"n" * 32)
OTHER = SigningKey(b"o" * 32)


def test_a_certificate_holds_and_names_the_nodes_own_key() -> None:
    certificate = x509.load_pem_x509_certificate(credentials_of(NODE).certificate)

    assert certificate.public_key().public_bytes_raw() == NODE.public  # type: ignore[union-attr]
    assert certificate.subject.rfc4514_string() == f"CN={NODE.public.hex()}"
    assert certificate.issuer.rfc4514_string() == f"CN=tanglewatt authority {b'mesh-net'.hex()}"


def test_a_certificate_lasts_a_year_and_an_authority_ten_and_both_began_yesterday() -> None:
    authority = authority_of()
    made = issue_certificate(AUTHORITY, authority, NODE.public, NOW_MS, serial())
    begins = [
        x509.load_pem_x509_certificate(one).not_valid_before_utc.timestamp()
        for one in (authority, made)
    ]

    assert ends_at_ms(made, "node") == NOW_MS + YEAR_MS
    assert ends_at_ms(authority, "authority") == NOW_MS + 10 * YEAR_MS
    assert begins == [(NOW_MS - DAY_MS) / 1_000] * 2


def test_only_the_authority_may_sign_certificates_and_no_authority_below_it() -> None:
    authority = x509.load_pem_x509_certificate(authority_of())
    node = x509.load_pem_x509_certificate(credentials_of(NODE).certificate)

    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value == (
        x509.BasicConstraints(ca=True, path_length=0)
    )
    assert not node.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not node.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


@given(st.binary(min_size=SERIAL_SIZE, max_size=SERIAL_SIZE))
def test_every_serial_number_is_positive_and_short_enough(drawn: bytes) -> None:
    made = issue_certificate(AUTHORITY, authority_of(), NODE.public, NOW_MS, drawn)

    number = x509.load_pem_x509_certificate(made).serial_number
    assert 0 < number < 2**159
    assert number.to_bytes(SERIAL_SIZE + 1, "big").endswith(drawn)


def test_credentials_end_with_whichever_ends_first() -> None:
    late_ms = NOW_MS + 10 * YEAR_MS - DAY_MS
    authority = authority_of(now_ms=NOW_MS)
    made = issue_certificate(AUTHORITY, authority, NODE.public, late_ms, serial())

    assert make_credentials(NODE, made, authority).ends_at_ms == NOW_MS + 10 * YEAR_MS
    assert credentials_of(NODE).ends_at_ms == NOW_MS + YEAR_MS


def test_an_authority_may_be_replaced_by_another_beside_it() -> None:
    old, new = authority_of(FOREIGN_AUTHORITY), authority_of(AUTHORITY)
    made = issue_certificate(AUTHORITY, new, NODE.public, NOW_MS, serial())

    both = make_credentials(NODE, made, old + new)

    assert both.ends_at_ms == NOW_MS + YEAR_MS


def test_an_authority_made_anew_with_its_key_stands_behind_older_certificates() -> None:
    older = credentials_of(NODE).certificate

    anew = make_credentials(NODE, older, authority_of(now_ms=NOW_MS + YEAR_MS))

    assert anew.certificate == older


GOOD = credentials_of(NODE)


@pytest.mark.parametrize(
    ("key", "certificate", "authority", "why"),
    [
        pytest.param(OTHER, GOOD.certificate, GOOD.authority, "another key", id="another node's"),
        pytest.param(NODE, b"", GOOD.authority, "no certificate in PEM", id="empty"),
        pytest.param(NODE, b"\xff\x00", GOOD.authority, "no certificate in PEM", id="no text"),
        pytest.param(NODE, GOOD.certificate, b"", "authority: holds no", id="no authority"),
        pytest.param(
            NODE,
            GOOD.certificate,
            authority_of(FOREIGN_AUTHORITY),
            "not signed by the authority",
            id="a foreign authority of the same name",
        ),
        pytest.param(
            AUTHORITY, GOOD.authority, GOOD.authority, "another key", id="the authority's own"
        ),
        pytest.param(
            NODE,
            GOOD.certificate,
            credentials_of(AUTHORITY).certificate,
            "not signed by the authority",
            id="a node's certificate in place of the authority's",
        ),
    ],
)
def test_credentials_that_would_not_let_a_node_link_up_are_refused(
    key: SigningKey, certificate: bytes, authority: bytes, why: str
) -> None:
    with pytest.raises(InvalidCertificateError, match=why):
        make_credentials(key, certificate, authority)


def test_only_the_authoritys_own_key_signs_in_its_name() -> None:
    with pytest.raises(InvalidCertificateError, match=FOREIGN_AUTHORITY.public.hex()):
        issue_certificate(FOREIGN_AUTHORITY, authority_of(), NODE.public, NOW_MS, serial())


def test_the_secret_key_of_tls_is_that_of_the_node_and_repr_does_not_show_it() -> None:
    loaded = load_pem_private_key(private_key_pem(NODE), None)

    assert loaded.public_key().public_bytes_raw() == NODE.public  # type: ignore[union-attr]
    assert NODE.seed.hex() not in repr(GOOD)
    assert "n" * 32 not in repr(GOOD)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    certificate, authority = tmp_path / "node.pem", tmp_path / "authority.pem"
    certificate.write_bytes(GOOD.certificate)
    authority.write_bytes(GOOD.authority)
    return certificate, authority


def test_credentials_are_read_from_their_files(files: tuple[Path, Path]) -> None:
    assert read_credentials(NODE, *files) == replace(GOOD, key=NODE)


def test_a_missing_file_and_one_too_long_are_named(files: tuple[Path, Path]) -> None:
    certificate, authority = files

    authority.write_bytes(bytes(MAX_CERTIFICATE_FILE_SIZE + 1))
    with pytest.raises(InvalidCertificateError, match=r"authority\.pem: more than 65536 bytes"):
        read_credentials(NODE, certificate, authority)
    certificate.unlink()
    with pytest.raises(InvalidCertificateError, match=r"node\.pem: there is no such file"):
        read_credentials(NODE, certificate, authority)


def test_a_pipe_or_a_folder_in_its_place_holds_nobody_up(files: tuple[Path, Path]) -> None:
    certificate, authority = files
    certificate.unlink()

    os.mkfifo(certificate)
    with pytest.raises(InvalidCertificateError, match="no certificate in PEM"):
        read_credentials(NODE, certificate, authority)
    certificate.unlink()
    certificate.mkdir()
    with pytest.raises(StorageError, match="cannot be read"):
        read_credentials(NODE, certificate, authority)
