"""The local certificate authority and the server's certificate, made at first start and renewed before they expire.

Genuine clients insist on https; they trust `ca.pem`. The cryptography library is imported only when something has to
be made: `server.json` remembers what the certificate covers and until when.
"""

import ipaddress
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from entrepot.server.keys import private_folder, write_private

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_DAY_S = 86400.0
_CA_DAYS = 3650
_SERVER_DAYS = 397  # the longest that clients accept
_RENEW_DAYS = 30
_FACTS = "server.json"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the authority to trust, the server's certificate with its chain, and its private key."""

    authority: Path
    certificate: Path
    key: Path


def ensure_certificate(folder: Path, *, hosts: Sequence[str], now: float) -> TlsFiles:
    """Return files that cover `hosts` (names or addresses) for at least 30 days more, making what is missing."""
    files = TlsFiles(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    if not _is_good(folder, files, hosts, now):
        private_folder(folder)
        _make(folder, files, hosts, now)
    return files


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a listener's TLS context."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(files.certificate, files.key)
    return context


def bundle(files: TlsFiles) -> bytes:
    """Return what clients have to believe to reach this server and all others: the system's authorities and ours.

    b"" when the system's are not to be found: clients that bring their own had better not lose them.
    """
    known = bundle_file()
    return known.read_bytes() + b"\n" + files.authority.read_bytes() if known else b""


def bundle_file() -> Path | None:
    """Return the file of the system's authorities, None when it is not to be found."""
    system = ssl.get_default_verify_paths().cafile or ""
    places = (Path(system), Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pki/tls/certs/ca-bundle.crt"))
    return next((place for place in places if place.is_file()), None)


def _is_good(folder: Path, files: TlsFiles, hosts: Sequence[str], now: float) -> bool:
    paths = (files.authority, files.certificate, files.key, folder / "ca.key", folder / _FACTS)
    if not all(path.exists() for path in paths):
        return False
    try:
        facts = json.loads((folder / _FACTS).read_text())
        return set(hosts) <= set(facts["hosts"]) and facts["expires"] - now > _RENEW_DAYS * _DAY_S
    except (ValueError, KeyError, TypeError):
        return False


def _make(folder: Path, files: TlsFiles, hosts: Sequence[str], now: float) -> None:
    from cryptography.hazmat.primitives import serialization

    authority, authority_key = _load_authority(folder, now) or _make_authority(folder, now)
    certificate, key = _make_server(authority, authority_key, hosts, now)
    pem = serialization.Encoding.PEM
    write_private(files.key, _private_pem(key))
    files.certificate.write_bytes(certificate.public_bytes(pem) + authority.public_bytes(pem))
    facts = {"hosts": list(hosts), "expires": certificate.not_valid_after_utc.timestamp()}
    write_private(folder / _FACTS, json.dumps(facts))


def _load_authority(folder: Path, now: float) -> "tuple[x509.Certificate, EllipticCurvePrivateKey] | None":
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    try:
        certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    except (OSError, ValueError):
        return None
    is_lasting = certificate.not_valid_after_utc.timestamp() - now > (_SERVER_DAYS + _RENEW_DAYS) * _DAY_S
    if not is_lasting or not isinstance(key, EllipticCurvePrivateKey):
        return None
    return certificate, key


def _make_authority(folder: Path, now: float) -> "tuple[x509.Certificate, EllipticCurvePrivateKey]":
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder("Entrepot local authority", "Entrepot local authority", key, days=_CA_DAYS, now=now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    certificate = builder.sign(key, hashes.SHA256())
    write_private(folder / "ca.key", _private_pem(key))
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return certificate, key


def _make_server(
    authority: "x509.Certificate", authority_key: "EllipticCurvePrivateKey", hosts: Sequence[str], now: float
) -> "tuple[x509.Certificate, EllipticCurvePrivateKey]":
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = ec.generate_private_key(ec.SECP256R1())
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    builder = (
        _builder("Entrepot local authority", "Entrepot", key, days=_SERVER_DAYS, now=now)
        .add_extension(x509.SubjectAlternativeName([_name(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer_id, critical=False)
    )
    return builder.sign(authority_key, hashes.SHA256()), key


def _builder(
    issuer: str, subject: str, key: "EllipticCurvePrivateKey", *, days: int, now: float
) -> "x509.CertificateBuilder":
    from cryptography import x509

    start = datetime.fromtimestamp(now, UTC)
    return (
        x509.CertificateBuilder()
        .issuer_name(_distinguished(issuer))
        .subject_name(_distinguished(subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - timedelta(days=1))
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _distinguished(name: str) -> "x509.Name":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _name(host: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _private_pem(key: "EllipticCurvePrivateKey") -> str:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
