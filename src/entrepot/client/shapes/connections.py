"""Connections: what is sent to create one, and what `az ml connection` prints of it."""

from __future__ import annotations

from entrepot.client.failures import Failure
from entrepot.client.shapes.naming import camel, creation_context, resource, snake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Json = Any

CATEGORIES = {
    "git": "Git", "container_registry": "ContainerRegistry", "python_feed": "PythonFeed", "s3": "S3",
    "snowflake": "Snowflake", "azure_sql_db": "AzureSqlDb", "azure_synapse_analytics": "AzureSynapseAnalytics",
    "azure_my_sql_db": "AzureMySqlDb", "azure_postgres_db": "AzurePostgresDb", "custom": "CustomKeys",
    "azure_data_lake_gen2": "ADLSGen2", "azure_blob": "AzureBlob", "azure_one_lake": "AzureOneLake",
    "azure_open_ai": "AzureOpenAI", "azure_ai_services": "AIServices", "azure_ai_search": "CognitiveSearch",
    "azure_content_safety": "CognitiveService", "azure_speech_services": "CognitiveService", "api_key": "ApiKey",
    "open_ai": "OpenAI", "serp": "Serp", "serverless": "Serverless",
}  # fmt: skip
"""A file's word for a type: ARM's category."""

CREDENTIALS: dict[str, tuple[str, dict[str, str]]] = {
    "pat": ("PAT", {"pat": "pat"}),
    "sas": ("SAS", {"sas_token": "sas"}),
    "username_password": ("UsernamePassword", {"username": "username", "password": "password"}),
    "managed_identity": ("ManagedIdentity", {"client_id": "clientId", "resource_id": "resourceId"}),
    "service_principal": (
        "ServicePrincipal", {"client_id": "clientId", "client_secret": "clientSecret", "tenant_id": "tenantId"},
    ),
    "access_key": ("AccessKey", {"access_key_id": "accessKeyId", "secret_access_key": "secretAccessKey"}),
    "api_key": ("ApiKey", {"key": "key"}),
    "account_key": ("AccountKey", {"account_key": "key"}),
    "aad": ("AAD", {}),
    "none": ("None", {}),
}  # fmt: skip
"""A file's word for credentials: ARM's auth type, and the file's fields with ARM's."""

_KINDS = {"azure_content_safety": "Content Safety", "azure_speech_services": "speech"}  # of CognitiveService
_TARGETS = ("target", "endpoint", "azure_endpoint", "api_base", "url")  # each type's documents call it otherwise
_METADATA = {
    "api_version": "ApiVersion", "api_type": "ApiType", "open_ai_resource_id": "ResourceId",
    "ai_services_resource_id": "ResourceId", "account_name": "AccountName", "container_name": "ContainerName",
}  # fmt: skip
_BY_IDENTITY = ("azure_open_ai", "azure_ai_services", "azure_ai_search", "azure_content_safety",
                "azure_speech_services", "azure_blob", "azure_one_lake", "azure_data_lake_gen2")  # fmt: skip
_WITHOUT_TARGET = ("open_ai", "serp", "custom")


def body(data: Mapping[str, Json]) -> dict[str, Json]:
    """Return the body of a connection. Raises Failure for one that names no target, or credentials without a value."""
    kind = data["type"]
    target = next((data[name] for name in _TARGETS if data.get(name)), None) or _one_lake(data)
    if not target and kind not in _WITHOUT_TARGET:
        raise Failure(f"A connection of type {kind} needs the field 'target', the address that it is for.")
    metadata = {**(data.get("metadata") or {}), **(data.get("configs") or {})}
    metadata |= {sent: data[name] for name, sent in _METADATA.items() if data.get(name)}
    if kind == "azure_open_ai":
        metadata.setdefault("ApiType", "azure")
    if kind in _KINDS:
        metadata["Kind"] = _KINDS[kind]
    properties = {
        "category": CATEGORIES.get(kind, kind), "metadata": metadata, "isSharedToAll": data.get("is_shared", True),
        **({"target": target} if target else {}), **_sent_credentials(data),
    }  # fmt: skip
    return {"properties": properties}


def view(document: Mapping[str, Json]) -> dict[str, Json]:
    """Return a connection as `az ml connection show` prints it, with those credentials that the document has."""
    properties = document.get("properties") or {}
    metadata = properties.get("metadata") or {}
    return resource(document) | {
        "type": _kind(str(properties.get("category") or ""), metadata),
        "target": properties.get("target"),
        "credentials": _shown_credentials(properties),
        "metadata": metadata,
        "is_shared": bool(properties.get("isSharedToAll")),
        "creation_context": creation_context(document.get("systemData")),
    }


def is_of(kind: str, shown: Mapping[str, Json]) -> bool:
    """Say whether a connection is of a type, in whichever spelling it is asked for."""
    wanted = _plain(kind)
    return wanted in (_plain(shown["type"]), _plain(CATEGORIES.get(shown["type"], "")))


def _one_lake(data: Mapping[str, Json]) -> str | None:
    artifact = data.get("artifact")
    if not (isinstance(artifact, dict) and data.get("one_lake_workspace_name") and data.get("endpoint")):
        return None
    return f"https://{data['endpoint']}/{data['one_lake_workspace_name']}/{artifact.get('name')}"


def _sent_credentials(data: Mapping[str, Json]) -> dict[str, Json]:
    if data.get("secrets"):
        return {"authType": "CustomKeys", "credentials": {"keys": dict(data["secrets"])}}
    given = data.get("credentials")
    if data.get("api_key"):
        given = {"type": "api_key", "key": data["api_key"]}
    if not given:
        return {"authType": "AAD" if data["type"] in _BY_IDENTITY else "None"}
    if given["type"] == "custom_keys":  # as `show` prints them
        return {"authType": "CustomKeys", **({"credentials": {"keys": given["keys"]}} if given.get("keys") else {})}
    auth, names = CREDENTIALS[given["type"]]
    credentials = {sent: str(given[name]) for name, sent in names.items() if given.get(name)}
    return {"authType": auth, **({"credentials": credentials} if credentials else {})}


def _shown_credentials(properties: Mapping[str, Json]) -> dict[str, Json]:
    auth, kept = str(properties.get("authType") or "None"), properties.get("credentials") or {}
    for name, (sent, fields) in CREDENTIALS.items():
        if sent.lower() == auth.lower():
            own = {field: kept.get(key) for field, key in fields.items()}
            return {"type": name, **{field: value for field, value in own.items() if value is not None}}
    return {"type": snake(auth), **kept}


def _kind(category: str, metadata: Mapping[str, Json]) -> str:
    for name, kind in _KINDS.items():
        if _plain(category) == "cognitiveservice" and str(metadata.get("Kind")).lower() == kind.lower():
            return name
    found = (name for name, sent in CATEGORIES.items() if _plain(sent) == _plain(category) and name not in _KINDS)
    return next(found, snake(category))


def _plain(word: str) -> str:
    return camel(word).replace("_", "").lower()
