"""A certificate for nginx where no public authority vouches for the machine's name.

A local authority signs it: clients trust that once, and a renewed certificate needs no new trust.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from riskcast.core.clock import wall
from riskcast.core.errors import SettingsError
from riskcast.standalone.secrets import write_private

AUTHORITY_DAYS = 3650
LONGEST_DAYS = 825  # Apple's clients refuse a server certificate that lives longer
SKEW = timedelta(hours=1)  # of a client's clock behind ours
_HOST = re.compile(
    r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
)


@dataclass(frozen=True, slots=True)
class Issued:
    """Files of an issued certificate, all PEM.

    Attributes
    ----------
    authority : Path
        What clients must trust.
    certificate, key : Path
        What nginx needs.
    """

    authority: Path
    certificate: Path
    key: Path


def issue(folder: Path, names: tuple[str, ...], days: int) -> Issued:
    """Make a new server certificate, by the folder's authority, which is made on first use.

    Parameters
    ----------
    folder : Path
        Made if absent, its own account's alone.
    names : tuple of str
        Host names and IP addresses under which clients reach nginx.
    days : int
        Until the certificate expires.

    Raises
    ------
    SettingsError
        If a name is none, there are no names, the days are out of range, or the authority's files
        cannot be read or end before the certificate would.
    """
    if not 1 <= days <= LONGEST_DAYS:
        raise SettingsError(f"a certificate of {days} days; give 1 to {LONGEST_DAYS}")
    if not names:
        raise SettingsError("a certificate needs a name; give host names or addresses")
    alternatives = x509.SubjectAlternativeName([_name(each) for each in dict.fromkeys(names)])
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    issued = Issued(folder / "tls-ca.pem", folder / "tls.pem", folder / "tls.key")
    ca, ca_key = _authority(issued.authority, folder / "tls-ca.key")
    until = wall() + timedelta(days=days)
    if until > ca.not_valid_after_utc:
        raise SettingsError(
            f"{issued.authority} ends {ca.not_valid_after_utc:%Y-%m-%d}, before the certificate "
            "would; remove tls-ca.pem and tls-ca.key for a new authority, which clients must trust"
        )
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))  # the names say it all; critical, as RFC 5280 4.2.1.6 wants
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(wall() - SKEW)
        .not_valid_after(until)
        .add_extension(alternatives, critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_signed_by(ca_key), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    write_private(issued.key, _pem(key))
    write_private(issued.certificate, certificate.public_bytes(Encoding.PEM).decode())
    return issued


def _authority(path: Path, key_path: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return the authority of the files, made unless there is one."""
    if not path.exists() and not key_path.exists():
        _make_authority(path, key_path)
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        key = load_pem_private_key(key_path.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"the authority in {path} and {key_path} cannot be read ({error}); put both back, or "
            "remove both for a new one, which clients must trust"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise SettingsError(f"{key_path} is no elliptic-curve key; remove both of {path.stem}.*")
    if key.public_key() != certificate.public_key():
        raise SettingsError(
            f"{key_path} is not the key of {path}; put back the one it was made with"
        )
    return certificate, key


def _make_authority(path: Path, key_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Riskcast local authority")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(wall() - SKEW)
        .not_valid_after(wall() + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_signed_by(key), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_private(key_path, _pem(key))
    write_private(path, certificate.public_bytes(Encoding.PEM).decode())


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        host = text.lower()
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise SettingsError(f"{text!r} is neither a host name nor an IP address")
    return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _signed_by(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key.private_bytes(*form).decode()
