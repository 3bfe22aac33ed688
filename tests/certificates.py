"""Certificates for servers of tests."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Private(NamedTuple):
    """Files in PEM: the certificate of a private authority, and keys with certificates that it has signed."""

    authority: Path
    server: Path
    client: Path


def self_signed(name: str = "127.0.0.1") -> bytes:
    """A key and a certificate for 127.0.0.1, signed by itself, as PEM. `name`: its subject."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _pem(key) + _certificate(key, name, key, name).public_bytes(Encoding.PEM)


def private(folder: Path) -> Private:
    """Makes a private authority, and what a server on 127.0.0.1 and a client need."""
    authority = ec.generate_private_key(ec.SECP256R1())
    made = Private(folder / "authority.pem", folder / "server.pem", folder / "client.pem")
    own = _certificate(authority, "authority", authority, "authority", is_authority=True)
    made.authority.write_bytes(own.public_bytes(Encoding.PEM))
    for file in (made.server, made.client):
        key = ec.generate_private_key(ec.SECP256R1())
        signed = _certificate(key, file.stem, authority, "authority")
        file.write_bytes(_pem(key) + signed.public_bytes(Encoding.PEM))
    return made


def _certificate(
    key: ec.EllipticCurvePrivateKey,
    name: str,
    issuer: ec.EllipticCurvePrivateKey,
    issuer_name: str,
    is_authority: bool = False,
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(_name(issuer_name), _name(name), key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .sign(issuer, hashes.SHA256())
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
