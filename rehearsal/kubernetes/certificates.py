"""The cluster's public key infrastructure: a CA, and a certificate for each component."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rehearsal.kubernetes import layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_VALID = dt.timedelta(days=365)
_CLOCKS_DIFFER_BY = dt.timedelta(minutes=5)


@dataclass(frozen=True)
class KeyPair:
    """A private key and its certificate, both in PEM; `name` is the common name."""

    name: str
    key: bytes = field(repr=False)
    certificate: bytes


@dataclass(frozen=True)
class Subject:
    """A certificate's subject: a client (user name, groups), a server (host names), or both."""

    name: str
    groups: tuple[str, ...] = ()
    hosts: tuple[str | IPv4Address, ...] = ()
    client: bool = True


ADMINISTRATOR = Subject("rehearsal-admin", groups=("system:masters",))
"""The user of the kubeconfig: only its requests have this name in the audit log."""

_API_SERVER_HOSTS: tuple[str | IPv4Address, ...] = (
    layout.API_ADDRESS,
    layout.NODE_ADDRESS,
    layout.SERVICE_ADDRESS,
    IPv4Address("127.0.0.1"),
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    f"kubernetes.default.svc.{layout.DOMAIN}",
)

# By file name. The components' names and groups are those in RBAC's default bindings.
SUBJECTS: Mapping[str, Subject] = {
    "admin": ADMINISTRATOR,
    "runner": Subject("rehearsal-runner", groups=("system:masters",)),
    "api-server": Subject("kube-apiserver", hosts=_API_SERVER_HOSTS, client=False),
    "api-server-kubelet-client": Subject("kube-apiserver-kubelet-client"),
    "etcd": Subject("etcd", hosts=(layout.API_ADDRESS,)),
    "controller-manager": Subject("system:kube-controller-manager", hosts=(layout.API_ADDRESS,)),
    "scheduler": Subject("system:kube-scheduler", hosts=(layout.API_ADDRESS,)),
    "kubelet": Subject(
        f"system:node:{layout.CLUSTER}",
        groups=("system:nodes",),
        hosts=(layout.NODE_ADDRESS, layout.CLUSTER),
    ),
    "proxy": Subject("system:kube-proxy"),
    "load-balancer-controller": Subject("system:load-balancer-controller"),
    "dns": Subject("system:coredns"),
    "metrics-server": Subject(
        "system:metrics-server", hosts=("metrics-server.kube-system.svc", layout.NODE_ADDRESS)
    ),
}

# The aggregation layer has its own CA, as its clients can impersonate any user.
_AGGREGATION = {"aggregation-client": Subject("aggregation-client")}


def write(folder: Path) -> None:
    """Create both CAs, all certificates and the key of the service accounts."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for authority_name, subjects in (("ca", SUBJECTS), ("aggregation-ca", _AGGREGATION)):
        authority = make_authority(f"rehearsal {authority_name}")
        _write_pair(folder, authority_name, authority)
        for name, subject in subjects.items():
            _write_pair(folder, name, sign(authority, subject))
    service_accounts = ec.generate_private_key(ec.SECP256R1())
    _write_private(folder / "service-accounts.key", _key_pem(service_accounts))
    (folder / "service-accounts.pub").write_bytes(
        service_accounts.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def make_authority(name: str) -> KeyPair:
    """Return a self-signed CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name, ())
    builder = (
        _builder(subject, subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
    )
    certificate = builder.sign(key, hashes.SHA256())
    return KeyPair(name, _key_pem(key), certificate.public_bytes(serialization.Encoding.PEM))


def sign(authority: KeyPair, subject: Subject) -> KeyPair:
    """Return a key and a certificate for the subject, signed by the CA."""
    authority_key = serialization.load_pem_private_key(authority.key, password=None)
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not an elliptic curve's")
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    key = ec.generate_private_key(ec.SECP256R1())
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH] if subject.client else []
    if subject.hosts:
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
    builder = (
        _builder(_name(subject.name, subject.groups), issuer.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
    )
    if subject.hosts:
        names = x509.SubjectAlternativeName(list(_general_names(subject.hosts)))
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(authority_key, hashes.SHA256())
    return KeyPair(
        subject.name, _key_pem(key), certificate.public_bytes(serialization.Encoding.PEM)
    )


def _general_names(hosts: Iterable[str | IPv4Address]) -> Iterable[x509.GeneralName]:
    for host in hosts:
        yield x509.DNSName(host) if isinstance(host, str) else x509.IPAddress(host)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER_BY)
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(name: str, groups: Iterable[str]) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        + [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write_pair(folder: Path, name: str, pair: KeyPair) -> None:
    _write_private(folder / f"{name}.key", pair.key)
    (folder / f"{name}.crt").write_bytes(pair.certificate)


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(content)
