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
    if kind == "certificate":
        return genuine.CertificateCredential(tenant, client, os.environ["CERTIFICATE"], **known)
    if kind == "assertion":
        return genuine.ClientAssertionCredential(tenant, client, lambda: os.environ["ASSERTION"], **known)
    if kind == "device":
        return genuine.DeviceCodeCredential(
            tenant_id=tenant, prompt_callback=lambda _, code, __: print("CODE", code, flush=True), timeout=120, **known
        )
    if kind == "browser":
        return genuine.InteractiveBrowserCredential(tenant_id=tenant, timeout=120, **known)
    raise SystemExit(f"unknown credential {kind}")


def main(kind: str) -> None:
    """Print the token, or the error that the library raised."""
    try:
        credential = _credential(kind)
        token = credential.get_token(SCOPE)
        second = credential.get_token(os.environ["SECOND_SCOPE"]).token if "SECOND_SCOPE" in os.environ else ""
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
    else:
        print(json.dumps({"token": token.token, "expires_on": token.expires_on, "second": second}))


if __name__ == "__main__":
    main(sys.argv[1])
