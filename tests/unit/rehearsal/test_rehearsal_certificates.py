"""The public key infrastructure meets the requirements of TLS and RBAC."""

import ssl
from ipaddress import IPv4Address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from rehearsal.kubernetes import certificates, layout
from rehearsal.kubernetes.certificates import Subject


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("pki")
    certificates.write(made)
    return made


def load(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def values(name, kind):
    return tuple(attribute.value for attribute in name.get_attributes_for_oid(kind))


def hosts(certificate):
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return set(names.get_values_for_type(x509.DNSName)) | set(
        names.get_values_for_type(x509.IPAddress)
    )


@pytest.mark.parametrize("name", certificates.SUBJECTS)
def test_each_subject_has_its_certificate(folder, name):
    subject, certificate = certificates.SUBJECTS[name], load(folder / f"{name}.crt")
    assert values(certificate.subject, NameOID.COMMON_NAME) == (subject.name,)
    assert values(certificate.subject, NameOID.ORGANIZATION_NAME) == subject.groups
    assert hosts(certificate) == set(subject.hosts)
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    wanted = {Usage.CLIENT_AUTH} if subject.client else set()
    assert set(usages) == wanted | ({Usage.SERVER_AUTH} if subject.hosts else set())
    # This raises if the key does not belong to the certificate.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")


def test_no_two_users_share_a_name():
    names = [subject.name for subject in certificates.SUBJECTS.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("authority", "name", "trusted"),
    [
        ("ca", "admin", True),
        ("ca", "kubelet", True),
        ("ca", "aggregation-client", False),
        ("aggregation-ca", "aggregation-client", True),
        ("aggregation-ca", "admin", False),
    ],
)
def test_authorities_are_apart(folder, authority, name, trusted):
    certificate = load(folder / f"{name}.crt")
    issuer = load(folder / f"{authority}.crt")
    if trusted:
        certificate.verify_directly_issued_by(issuer)
    else:
        with pytest.raises(ValueError, match="Issuer"):
            certificate.verify_directly_issued_by(issuer)


def test_api_server_answers_to_every_address_it_has(folder):
    names = hosts(load(folder / "api-server.crt"))
    assert {layout.API_ADDRESS, layout.NODE_ADDRESS, IPv4Address("10.199.16.1")} <= names
    assert "kubernetes.default.svc.cluster.local" in names


def test_keys_are_for_their_owner_alone(folder):
    keys = list(folder.glob("*.key"))
    assert len(keys) == len(certificates.SUBJECTS) + 4  # two authorities, aggregation, accounts
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}


def test_tokens_are_checked_with_the_key_that_signs_them(folder):
    key = serialization.load_pem_private_key(
        (folder / "service-accounts.key").read_bytes(), password=None
    )
    public = serialization.load_pem_public_key((folder / "service-accounts.pub").read_bytes())
    assert key.public_key() == public


def test_server_certificate_passes_a_strict_verifier():
    authority = certificates.make_authority("ca")
    pair = certificates.sign(authority, Subject("server", hosts=("server.test",)))
    store = Store([x509.load_pem_x509_certificate(authority.certificate)])
    leaf = x509.load_pem_x509_certificate(pair.certificate)
    named = PolicyBuilder().store(store).build_server_verifier(x509.DNSName("server.test"))
    assert len(named.verify(leaf, [])) == 2
    other = PolicyBuilder().store(store).build_server_verifier(x509.DNSName("other.test"))
    with pytest.raises(VerificationError):
        other.verify(leaf, [])


def test_key_pair_does_not_show_its_key():
    pair = certificates.make_authority("ca")
    assert "PRIVATE" not in repr(pair)
