"""Workspaces on the wire: keys, secrets of datastores, parameters of the SDK's workspace template. Pure."""

from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest

Json = Any

_MOST_HOURS = 24 * 7


def sizes(name: str, *, processors: int, memory_bytes: int) -> dict[str, Json]:
    """Return the sizes of machines that there are: this one."""
    size = {
        "name": name, "family": "local", "vCPUs": processors, "gpus": 0, "osVhdSizeMB": 0, "maxResourceVolumeMB": 0,
        "memoryGB": round(memory_bytes / 2**30, 1), "lowPriorityCapable": True, "premiumIO": False,
        "supportedComputeTypes": ["AmlCompute", "ComputeInstance"],
    }  # fmt: skip
    return {"value": [size]}


def keys(account: str) -> dict[str, Json]:
    """Return what `listKeys` answers: there are no keys here, datastores give signed addresses instead."""
    return {
        "userStorageKey": None,
        "userStorageArmId": account,
        "appInsightsInstrumentationKey": None,
        "containerRegistryCredentials": None,
        "notebookAccessKeys": None,
    }


def diagnosis() -> dict[str, Json]:
    """Return what `diagnose` answers where nothing is amiss."""
    of = ("userDefinedRoute", "networkSecurityRule", "resourceLock", "dnsResolution", "storageAccount", "keyVault",
          "containerRegistry", "applicationInsights", "other")  # fmt: skip
    return {f"{name}Results": [] for name in of}


def sas_secrets(token: str) -> dict[str, str]:
    """Return what `listSecrets` answers; azure-ai-ml signs nothing itself when it gets a SAS."""
    return {"secretsType": "Sas", "sasToken": token}


def lifetime_s(body: Mapping[str, Json], default_hours: float) -> float:
    """Return how long secrets are asked to last, in seconds, a week at most. Raises InvalidRequest."""
    hours = body.get("expireAfterHours") or default_hours
    if isinstance(hours, bool) or not isinstance(hours, int | float) or hours <= 0:
        raise InvalidRequest(f"expireAfterHours={hours!r} is not a positive number", target="expireAfterHours")
    return min(float(hours), _MOST_HOURS) * 3600
