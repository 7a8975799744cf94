"""Every way in which the genuine `az` signs in, with what it makes in the directory itself."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.az.conftest import EXAMPLES, Az
from tests.identity import robot
from tests.identity.provider import provider
from tests.identity.robot import Robot

pytestmark = pytest.mark.slow

TENANT = "00000000-0000-0000-0000-0000000000aa"
SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000001"
ADA, PASSWORD = "ada@entrepot.localhost", "Corre(t-h0rse-battery"
LIMIT_S = 120


@pytest.fixture
def another(az: Az, tmp_path: Path) -> Az:
    """The `az` of somebody who has not signed in, on a machine of their own."""
    variables = {
        name: value for name, value in az.variables.items() if name not in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER")
    }
    made = replace(az, variables={**variables, "AZURE_CONFIG_DIR": str(tmp_path / "config"), "HOME": str(tmp_path)})
    made("cloud", "register", "-n", "Entrepot", "--endpoint-resource-manager", az.server.file.https_url)
    made("cloud", "set", "-n", "Entrepot")
    return made


@pytest.fixture(scope="module")
def ada(az: Az) -> str:
    """A user who reads, made by the owner."""
    az("ad", "user", "create", "--display-name", "Ada", "--user-principal-name", ADA, "--password", PASSWORD)
    az("role", "assignment", "create", "--assignee", ADA, "--role", "Reader", "--scope", SUBSCRIPTION)
    given = az("role", "assignment", "list", "--assignee", ADA, "--scope", SUBSCRIPTION).json
    assert [(one["principalName"], one["roleDefinitionName"]) for one in given] == [(ADA, "Reader")]
    return ADA


@pytest.mark.parametrize("proof", ["secret", "certificate"])
def test_a_service_principal_signs_in_and_does_what_its_role_allows(az: Az, another: Az, proof: str) -> None:
    more = ["--create-cert"] if proof == "certificate" else []
    name = f"ci-{proof}"
    made = az(
        "ad", "sp", "create-for-rbac", "-n", name, "--role", "Reader", "--scopes", SUBSCRIPTION, *more,
        HOME=another.variables["HOME"],
    ).json  # fmt: skip
    shown = ["-p", made["password"]] if proof == "secret" else ["--certificate", made["fileWithCertAndPrivateKey"]]
    another("login", "--service-principal", "-u", made["appId"], *shown, "--tenant", TENANT)
    assert another("account", "show", "--query", "user.name", "-o", "tsv").out == made["appId"] + "\n"
    assert "azureml" in another("ml", "registry", "list", "--query", "[].name", "-o", "tsv").out
    refused = another("group", "create", "-n", "mine", "-l", "eastus", code=1).err
    assert name in refused and "The role 'Contributor' would grant it" in refused


def test_a_service_principal_signs_in_with_the_token_of_another_issuer(az: Az, another: Az) -> None:
    app = az("ad", "app", "create", "--display-name", "workload", "--query", "appId", "-o", "tsv").out.strip()
    az("ad", "sp", "create", "--id", app)
    with provider() as issuer:
        trust = {"name": "ci", "issuer": issuer.issuer, "subject": "repo:contoso/ml"}
        az("ad", "app", "federated-credential", "create", "--id", app, "--parameters", json.dumps(trust))
        words = ("login", "--service-principal", "-u", app, "--tenant", TENANT, "--allow-no-subscriptions")
        exchange = "api://AzureADTokenExchange"
        for wrong in (issuer.token(sub="repo:evil/ml", aud=exchange), issuer.token(sub="repo:contoso/ml", aud="other")):
            assert "AADSTS" in another(*words, "--federated-token", wrong, code=1).err
        token = issuer.token(sub="repo:contoso/ml", aud=exchange)
        assert another(*words, "--federated-token", token).json[0]["user"]["name"] == app
        assert another("account", "get-access-token", "--query", "tokenType", "-o", "tsv").out == "Bearer\n"


def test_a_wrong_secret_is_refused_and_says_so(az: Az, another: Az) -> None:
    app = az("ad", "app", "create", "--display-name", "other", "--query", "appId", "-o", "tsv").out.strip()
    told = another("login", "--service-principal", "-u", app, "-p", "wrong", "--tenant", TENANT, code=1).err
    assert "AADSTS" in told


def test_a_person_signs_in_with_a_browser(ada: str, another: Az) -> None:
    browser = f"{sys.executable} {robot.__file__} %s &"  # az waits for it, and it for what az answers
    another("login", BROWSER=browser, ROBOT_NAME=ada, ROBOT_PASSWORD=PASSWORD)
    assert another("account", "show", "--query", "user.name", "-o", "tsv").out == f"{ada}\n"
    assert another("ad", "signed-in-user", "show", "--query", "displayName", "-o", "tsv").out == "Ada\n"


def test_a_person_signs_in_with_a_code_typed_elsewhere(ada: str, another: Az) -> None:
    waiting = subprocess.Popen(
        ["az", "login", "--use-device-code", "--tenant", TENANT], env=dict(another.variables), cwd=EXAMPLES,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert waiting.stderr is not None
        shown = next(line for line in waiting.stderr if "enter the code" in line)
        page, code = re.search(r"page (\S+) .*code (\S+)", shown).groups()  # type: ignore[union-attr]
        person = Robot(another.server.file.authority)
        person.visit(page)
        person.sign_in(ada, PASSWORD)
        person.send(user_code=code)
        person.send(do="accept")
        out, err = waiting.communicate(timeout=LIMIT_S)
    finally:
        waiting.kill()
        waiting.wait()
    assert waiting.returncode == 0, out + err
    assert another("account", "show", "--query", "user.name", "-o", "tsv").out == f"{ada}\n"
