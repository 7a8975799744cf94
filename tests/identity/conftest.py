"""One live server for the tests of this folder, with a workspace, a registry and a directory; and Azure's clients."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from entrepot.testing.live import LiveServer, Reply, live
from tests.environments import made
from tests.identity.robot import Robot

Json = Any

TENANT = "00000000-0000-0000-0000-0000000000aa"
GROUP = "/subscriptions/s1/resourceGroups/rg"
PROVIDER = f"{GROUP}/providers/Microsoft.MachineLearningServices"
SCRIPT = Path(__file__).with_name("credentials.py")


@dataclass(frozen=True, slots=True)
class Registration:
    """An application with its principal and a secret."""

    object_id: str
    app_id: str
    principal_id: str
    secret: str
    key_id: str


@dataclass(frozen=True, slots=True)
class House:
    """A server, and how to fill its directory as its owner."""

    server: LiveServer
    python: str = ""

    def made(self, path: str, body: Json) -> Json:
        """Create something and return it."""
        reply = self.server.call("POST", f"/v1.0/{path}", body)
        assert reply.status in (200, 201), reply.body
        return reply.json

    def application(self, name: str) -> Registration:
        """Register an application, as `az ad sp create-for-rbac` does."""
        application = self.made("applications", {"displayName": name})
        principal = self.made("servicePrincipals", {"appId": application["appId"]})
        secret = self.made(f"applications/{application['id']}/addPassword", {})
        return Registration(
            application["id"], application["appId"], principal["id"], secret["secretText"], secret["keyId"]
        )

    def token(self, form: Json, *, tenant: str = TENANT, path: str = "oauth2/v2.0/token") -> Reply:
        """Ask the authority for a token."""
        from urllib.parse import urlencode

        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        address = f"/{tenant}/{path}"
        return self.server.call("POST", address, urlencode(form).encode(), token=None, headers=headers, secure=True)

    def by_secret(self, client: str, secret: str) -> Reply:
        """Ask for a token with a client secret."""
        form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
        return self.token({**form, "scope": "https://management.azure.com/.default"})

    def user(self, name: str, password: str) -> str:
        """Add a person; return their id."""
        body = {
            "displayName": name,
            "userPrincipalName": f"{name}@contoso.test",
            "passwordProfile": {"password": password},
        }
        id: str = self.made("users", body)["id"]
        return id

    def robot(self) -> Robot:
        """Return a browser."""
        return Robot(self.server.file.authority)

    def azure_identity(
        self, credential: str, environment: Mapping[str, str], *, on_code: Callable[[str], None] | None = None
    ) -> Json:
        """Have the genuine library get a token, in a process of its own; return what it said.

        `on_code` is called with the code that a person would be told to type.
        """
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        local = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
        trust = {"REQUESTS_CA_BUNDLE": self.server.file.authority, "SSL_CERT_FILE": self.server.file.authority}
        authority = {"AZURE_AUTHORITY_HOST": self.server.file.https_url, "AZURE_TENANT_ID": TENANT}
        with subprocess.Popen(
            [self.python, str(SCRIPT), credential], env={**kept, **local, **trust, **authority, **environment},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as run:  # fmt: skip
            if on_code is not None:
                assert run.stdout is not None
                on_code(run.stdout.readline().removeprefix("CODE ").strip())
            told, errors = run.communicate(timeout=300)
        assert run.returncode == 0, errors[-3000:]
        return json.loads(told.splitlines()[-1])


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server with workspace dev and registry contoso."""
    with live(tmp_path_factory.mktemp("identity") / "home") as running:
        assert running.call("PUT", GROUP, {"location": "eastus"}).status == 201
        assert running.call("PUT", f"{PROVIDER}/workspaces/dev", {"location": "eastus"}).status == 201
        registry = {"location": "eastus", "properties": {"regionDetails": [{"location": "eastus"}]}}
        assert running.call("PUT", f"{PROVIDER}/registries/contoso", registry).status == 201
        yield House(running)


@pytest.fixture(scope="package")
def genuine(house: House) -> House:
    """The same, with Azure's clients at hand."""
    return replace(house, python=str(made("sdk") / "bin" / "python"))
