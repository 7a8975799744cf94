"""Services sign in with a certificate or with another issuer's token, and with nothing that only looks like one."""

import base64
import hashlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from joserfc import jwk, jwt

from entrepot.domain.identity.assertions import TYPE
from tests.identity.conftest import TENANT, House, Json, Registration
from tests.identity.provider import Provider, provider
from tests.identity.test_client_secrets import claims

EXCHANGE = "api://AzureADTokenExchange"


class Certificate:
    """A key, and a certificate that it signed for itself."""

    def __init__(self, *, days: int = 30) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ci")])
        now = datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=60))
            .not_valid_after(now + timedelta(days=days)).sign(self.key, hashes.SHA256())
        )  # fmt: skip
        self.der = self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> str:
        """The key and the certificate, as `az login --certificate` takes them."""
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return self.key.private_bytes(*form).decode() + self.certificate.public_bytes(form[0]).decode()

    def assertion(self, app: Registration, house: House, *, name: str = "x5t#S256", **change: Json) -> str:
        """Sign an assertion by hand."""
        digest = hashlib.sha256(self.der) if name == "x5t#S256" else hashlib.sha1(self.der)
        thumbprint = base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")
        now = int(time.time())
        said = {
            "iss": app.app_id, "sub": app.app_id, "exp": now + 300, "jti": str(time.time_ns()),
            "aud": f"{house.server.file.https_url}/{TENANT}/oauth2/v2.0/token",
        }  # fmt: skip
        algorithm = change.pop("alg", "PS256")
        key = jwk.RSAKey.import_key(change.pop("key", self.key))
        return jwt.encode({"alg": algorithm, name: thumbprint}, {**said, **change}, key, algorithms=[algorithm])


def _registered(house: House, certificate: Certificate) -> Registration:
    app = house.application("certified")
    entry = {"type": "AsymmetricX509Cert", "usage": "Verify", "key": base64.b64encode(certificate.der).decode()}
    reply = house.server.call("PATCH", f"/v1.0/applications/{app.object_id}", {"keyCredentials": [entry]})
    assert reply.status == 204, reply.body
    return app


def _ask(house: House, app: Registration, assertion: str, **more: str) -> Json:
    form = {
        "grant_type": "client_credentials", "client_id": app.app_id, "client_assertion_type": TYPE,
        "client_assertion": assertion, "scope": "https://management.azure.com/.default", **more,
    }  # fmt: skip
    return house.token(form).json


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    """A certificate that is good."""
    return Certificate()


@pytest.fixture(scope="module")
def outside() -> Iterator[Provider]:
    """Another issuer."""
    with provider() as running:
        yield running


def test_azure_identity_signs_in_with_a_certificate(genuine: House, certificate: Certificate, tmp_path: Path) -> None:
    app = _registered(genuine, certificate)
    (tmp_path / "ci.pem").write_text(certificate.pem)
    given = {"AZURE_CLIENT_ID": app.app_id, "CERTIFICATE": str(tmp_path / "ci.pem")}
    told = genuine.azure_identity("certificate", given)
    assert "token" in told, told
    assert claims(told["token"])["oid"] == app.principal_id


@pytest.mark.parametrize("name", ["x5t", "x5t#S256"])
@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_both_names_of_a_certificate_and_both_ways_to_sign_will_do(
    house: House, certificate: Certificate, name: str, algorithm: str
) -> None:
    app = _registered(house, certificate)
    assert "access_token" in _ask(house, app, certificate.assertion(app, house, name=name, alg=algorithm))


def test_an_assertion_that_is_wrong_in_one_place_is_refused(house: House, certificate: Certificate) -> None:
    app, other = _registered(house, certificate), house.application("other")
    stranger = Certificate()
    now = int(time.time())
    wrong = {
        "registered": stranger.assertion(app, house),
        "signature": certificate.assertion(app, house, key=stranger.key),
        "iss and sub": certificate.assertion(app, house, sub=other.app_id),
        "audience": certificate.assertion(app, house, aud="https://login.microsoftonline.com/x/oauth2/v2.0/token"),
        "expired": certificate.assertion(app, house, exp=now - 3600),
        "too long": certificate.assertion(app, house, exp=now + 10 * 86400),
    }
    for why, assertion in wrong.items():
        told = _ask(house, app, assertion)
        assert (told["error"], told["error_codes"]) == ("invalid_client", [700027]), (why, told)
        assert why in told["error_description"], told
    assert _ask(house, other, certificate.assertion(app, house))["error"] == "invalid_client"
    assert _ask(house, app, "not.a.token")["error_codes"] == [50027]
    kind = _ask(house, app, certificate.assertion(app, house), client_assertion_type="password")
    assert kind["error_codes"] == [90023]


def test_an_expired_certificate_is_refused(house: House) -> None:
    old = Certificate(days=-1)
    app = _registered(house, old)
    told = _ask(house, app, old.assertion(app, house))
    assert told["error_codes"] == [700027] and "has expired" in told["error_description"]


def _federated(house: House, outside: Provider, subject: str) -> Registration:
    app = house.application("federated")
    body = {"name": "ci", "issuer": outside.issuer, "subject": subject, "audiences": [EXCHANGE]}
    house.made(f"applications/{app.object_id}/federatedIdentityCredentials", body)
    return app


@pytest.mark.parametrize("kind", ["assertion", "default"])
def test_azure_identity_signs_in_with_another_issuers_token(
    genuine: House, outside: Provider, tmp_path: Path, kind: str
) -> None:
    app = _federated(genuine, outside, "repo:contoso/ml")
    token = outside.token(sub="repo:contoso/ml", aud=EXCHANGE)
    (tmp_path / "token").write_text(token)
    given = {"ASSERTION": token} if kind == "assertion" else {"AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token")}
    told = genuine.azure_identity(kind, {"AZURE_CLIENT_ID": app.app_id, **given})  # "default": workload identity
    assert "token" in told, told
    assert claims(told["token"])["oid"] == app.principal_id


def test_only_the_trusted_subject_for_the_right_audience_will_do(house: House, outside: Provider) -> None:
    app = _federated(house, outside, "repo:contoso/ml")
    good = outside.token(sub="repo:contoso/ml", aud=EXCHANGE)
    assert "access_token" in _ask(house, app, good)
    assert _ask(house, app, outside.token(sub="repo:evil/ml", aud=EXCHANGE))["error_codes"] == [700213]
    assert _ask(house, app, outside.token(sub="repo:contoso/ml", aud="other"))["error_codes"] == [700027]
    assert _ask(house, app, outside.token(sub="repo:contoso/ml", aud=EXCHANGE, exp=1))["error_codes"] == [700027]
    with provider() as other:
        forged = other.token(sub="repo:contoso/ml", aud=EXCHANGE, iss=outside.issuer)
        assert _ask(house, app, forged)["error_codes"] == [700027]
        assert _ask(house, app, other.token(sub="repo:contoso/ml", aud=EXCHANGE))["error_codes"] == [700213]


def test_taking_trust_back_ends_the_tokens_that_it_gave(house: House, outside: Provider) -> None:
    app = _federated(house, outside, "repo:contoso/gone")
    token = _ask(house, app, outside.token(sub="repo:contoso/gone", aud=EXCHANGE))["access_token"]
    assert house.server.call("GET", "/subscriptions", token=token).status == 200
    place = f"/v1.0/applications/{app.object_id}/federatedIdentityCredentials"
    [entry] = house.server.call("GET", place).json["value"]
    assert house.server.call("DELETE", f"{place}/{entry['id']}").status == 204
    assert house.server.call("GET", "/subscriptions", token=token).status == 401
