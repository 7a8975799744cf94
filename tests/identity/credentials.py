"""Run by the genuine clients' interpreter: gets a token with one of azure-identity's credentials and prints it."""

import json
import os
import sys
from typing import Any

import azure.identity as genuine

SCOPE = os.environ.get("SCOPE", "https://management.azure.com/.default")


def _credential(kind: str) -> Any:
    tenant, client = os.environ["AZURE_TENANT_ID"], os.environ.get("AZURE_CLIENT_ID", "")
    place = {"authority": os.environ["AZURE_AUTHORITY_HOST"]}
    known = {**place, "disable_instance_discovery": True}
    if kind == "secret":
        return genuine.ClientSecretCredential(tenant, client, os.environ["AZURE_CLIENT_SECRET"], **known)
    if kind == "environment":
        return genuine.EnvironmentCredential(**({} if tenant == "adfs" else known))
    if kind == "default":
        return genuine.DefaultAzureCredential()
    raise SystemExit(f"unknown credential {kind}")


def main(kind: str) -> None:
    """Print the token, or the error that the library raised."""
    try:
        token = _credential(kind).get_token(SCOPE)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
    else:
        print(json.dumps({"token": token.token, "expires_on": token.expires_on}))


if __name__ == "__main__":
    main(sys.argv[1])
