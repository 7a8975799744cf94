"""What clients read before they sign in: the cloud's endpoints and the addresses of a workspace's services. Pure."""

from typing import Any

from entrepot.wire.origins import Origins

Json = Any

PORTAL = "https://portal.entrepot.localhost/"
"""Never fetched. azure-ai-ml makes its token audience `https://ml.azure.localhost` of what follows the second dot."""


def cloud(origins: Origins) -> dict[str, Json]:
    """Return the cloud as `ARM_CLOUD_METADATA_URL` and `az cloud register` read it.

    Storage addresses are built by clients as `https://{account}.blob.{suffix}/{container}`: with the suffix
    `x@host:port` the account becomes URL userinfo, so that no name needs to be resolved.
    """
    api = origins.api
    return {
        "name": "Entrepot",
        "portal": PORTAL,
        "resourceManager": api,
        "authentication": {
            "loginEndpoint": api,
            "audiences": [api],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "graphAudience": api,
        "microsoftGraphResourceId": api,
        "azmirrorStorageAccountResourceId": f"{api}/azmirror",
        "suffixes": {"storage": f"x@{origins.blob.partition('://')[2]}"},
    }


def workspace_services(origins: Origins) -> dict[str, str]:
    """Return what a workspace's discovery address answers; genuine clients use `api` for every service."""
    names = ("api", "catalog", "experimentation", "gallery", "history", "hyperdrive", "labeling", "modelmanagement")
    return dict.fromkeys((*names, "pipelines", "studio", "notebooks", "inferencing", "metrics"), origins.api)
