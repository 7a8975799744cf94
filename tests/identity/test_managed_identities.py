"""Tokens without a secret of one's own: managed identities of the home, and jobs, whose tokens end with them."""

import json
from collections.abc import Iterator, Mapping

import pytest

from entrepot.server.runfiles import identity_file
from entrepot.testing.live import Reply, wait_until
from tests.identity.conftest import GROUP, PROVIDER, House, Json
from tests.identity.test_client_secrets import claims

WORKSPACE = f"{PROVIDER}/workspaces/dev"
IDENTITIES = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
RESOURCE = "https://management.azure.com"


def _ask(house: House, secret: str, **query: str) -> Reply:
    asked = "&".join(f"{name}={value}" for name, value in {"resource": RESOURCE, **query}.items())
    return house.server.call("GET", f"/msi/token?{asked}", token=None, headers={"X-IDENTITY-HEADER": secret})


def _submit(house: House, name: str, command: str, *, token: str = "") -> Reply:
    properties = {
        "jobType": "Command", "command": command, "environmentId": f"{WORKSPACE}/environments/plain/versions/1",
        "computeId": f"{WORKSPACE}/computes/cpu-cluster", "experimentName": "e",
    }  # fmt: skip
    return house.server.call("PUT", f"{WORKSPACE}/jobs/{name}", {"properties": properties}, token=token)


def _status(house: House, name: str) -> str:
    found: str = house.server.call("GET", f"{WORKSPACE}/jobs/{name}").json["properties"]["status"]
    return found


@pytest.fixture(scope="module")
def job(house: House) -> Iterator[Mapping[str, str]]:
    """The environment variables of a job that runs until this module's tests are over."""
    image = {"properties": {"image": "docker.io/python"}}
    assert house.server.call("PUT", f"{WORKSPACE}/environments/plain/versions/1", image).status == 201
    print_out = "python3 -c 'import os, json; print(\"ENV \" + json.dumps(dict(os.environ)), flush=True)'"
    assert _submit(house, "steady", f"{print_out}; sleep 600").status == 201
    log = house.server.home / "jobs"
    wait_until(lambda: any("ENV {" in f.read_text() for f in log.rglob("std_log.txt")), timeout_s=120, what="the job")
    [text] = [file.read_text() for file in log.rglob("std_log.txt") if "ENV {" in file.read_text()]
    line = next(line for line in text.splitlines() if line.startswith("ENV "))
    yield json.loads(line.removeprefix("ENV "))
    house.server.call("POST", f"{WORKSPACE}/jobs/steady/cancel", {})


def test_azure_identity_in_a_job_acts_for_its_submitter_within_the_job(genuine: House, job: Mapping[str, str]) -> None:
    given = {name: job[name] for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "ARM_CLOUD_METADATA_URL")}
    told = genuine.azure_identity("default", given)
    assert "token" in told, told
    said = claims(told["token"])
    owner = genuine.server.call("GET", "/v1.0/me").json
    assert (said["oid"], said["job"], said["aud"]) == (owner["id"], "steady", RESOURCE)
    assert genuine.server.call("GET", WORKSPACE, token=told["token"]).status == 200
    assert genuine.server.call("DELETE", WORKSPACE, token=told["token"]).status == 403
    made = genuine.server.call("PUT", f"{PROVIDER}/workspaces/evil", {"location": "eastus"}, token=told["token"])
    assert made.status == 403
    assert genuine.server.call("GET", f"{PROVIDER}/workspaces/evil").status == 404


def test_a_jobs_certificates_let_its_clients_reach_the_server(house: House, job: Mapping[str, str]) -> None:
    assert house.server.file.https_url in job["ARM_CLOUD_METADATA_URL"]
    assert job["REQUESTS_CA_BUNDLE"] == job["SSL_CERT_FILE"]
    assert not [value for value in job.values() if value == house.server.token]


def test_a_jobs_token_is_no_key_to_the_directory_or_to_other_identities(house: House, job: Mapping[str, str]) -> None:
    token = job["AZUREML_RUN_TOKEN"]
    assert house.server.call("GET", "/v1.0/users", token=token).status == 403
    assert house.server.call("POST", "/v1.0/applications", {"displayName": "x"}, token=token).status == 403
    assert house.server.call("POST", "/login/tickets", {}, token=token).status == 403
    made = house.server.call("PUT", f"{IDENTITIES}/other", {"location": "eastus"}).json
    answer = _ask(house, job["IDENTITY_HEADER"], client_id=made["properties"]["clientId"])
    assert claims(answer.json["access_token"])["job"] == "steady", "whatever it asks for, it stays itself"


def test_a_job_submitted_with_a_jobs_token_stays_as_narrow(house: House, job: Mapping[str, str]) -> None:
    reply = _submit(house, "child", "sleep 600", token=job["AZUREML_RUN_TOKEN"])
    assert reply.status == 201, reply.body
    child = house.server.call("GET", f"{WORKSPACE}/jobs/child").json
    assert child["entrepot"]["submittedBy"]["within"].endswith("/workspaces/dev")
    house.server.call("POST", f"{WORKSPACE}/jobs/child/cancel", {})


def test_a_jobs_token_ends_with_the_job(house: House, job: Mapping[str, str]) -> None:
    command = 'python3 -c \'import os; print("TOKEN " + os.environ["AZUREML_RUN_TOKEN"], flush=True)\'; sleep 600'
    assert _submit(house, "brief", command).status == 201
    log = house.server.home / "jobs"

    def found() -> list[str]:
        return [text for file in log.rglob("std_log.txt") if "TOKEN ey" in (text := file.read_text())]

    wait_until(found, timeout_s=120, what="the job's token")
    token = next(line for line in found()[0].splitlines() if line.startswith("TOKEN ")).removeprefix("TOKEN ")
    derived = _ask(house, token).json["access_token"]
    for held in (token, derived):
        assert house.server.call("GET", WORKSPACE, token=held).status == 200
    house.server.call("POST", f"{WORKSPACE}/jobs/brief/cancel", {})
    wait_until(lambda: _status(house, "brief") == "Canceled", timeout_s=120, what="the job's end")
    for held in (token, derived):
        refused = house.server.call("GET", WORKSPACE, token=held)
        assert refused.status == 401 and "has ended" in refused.json["error"]["message"]
    assert _ask(house, token).status == 401


def test_a_managed_identity_is_made_found_and_gets_tokens_by_each_of_its_names(genuine: House) -> None:
    house = genuine
    made = house.server.call("PUT", f"{IDENTITIES}/trainer", {"location": "eastus", "tags": {"a": "b"}})
    assert made.status == 201
    told = made.json["properties"]
    secret = identity_file(house.server.home).read_text().strip()
    names = {
        "client_id": told["clientId"], "object_id": told["principalId"], "principal_id": told["principalId"],
        "mi_res_id": made.json["id"], "msi_res_id": made.json["id"].upper(),
    }  # fmt: skip
    for name, value in names.items():
        answer = _ask(house, secret, **{name: value})
        assert claims(answer.json["access_token"])["oid"] == told["principalId"], name
    assert _ask(house, secret, client_id="00000000-0000-0000-0000-00000000dead").status == 404
    given = {
        "IDENTITY_ENDPOINT": f"{house.server.file.https_url}/msi/token", "IDENTITY_HEADER": secret,
        "AZURE_CLIENT_ID": told["clientId"],
    }  # fmt: skip
    token = house.azure_identity("default", given)["token"]
    me = house.server.call("GET", "/v1.0/me", token=token).json
    assert (me["servicePrincipalType"], me["displayName"]) == ("ManagedIdentity", "trainer")
    assert [found["name"] for found in house.server.call("GET", IDENTITIES).json["value"] if found["tags"]] == [
        "trainer"
    ]
    assert house.server.call("DELETE", f"{IDENTITIES}/trainer").status == 200
    assert house.server.call("GET", "/v1.0/me", token=token).status == 401
    assert _ask(house, secret, client_id=told["clientId"]).status == 404


def test_a_stranger_sees_no_identities_and_makes_none(house: House) -> None:
    app = house.application("no-rights")
    token: Json = house.by_secret(app.app_id, app.secret).json["access_token"]
    assert house.server.call("GET", IDENTITIES, token=token).status == 404
    assert house.server.call("PUT", f"{IDENTITIES}/mine", {"location": "eastus"}, token=token).status == 403
