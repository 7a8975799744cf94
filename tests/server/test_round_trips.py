"""What a newer client sends and this server does not know comes back unchanged, for every kind and in both scopes."""

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrepot.core.nouns import CODE, COMPONENT, DATA, ENVIRONMENT, KINDS, MODEL, Kind
from entrepot.testing.live import LiveServer

Json = Any

_NUMBERS = itertools.count(1)
_EXACT = 1 << 53  # beyond it JavaScript and others round; a protocol that they speak has no larger ones
_TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
_WORDS = st.text("abcdefghijklmnopqrstuvwxyzABCDEF_", min_size=1, max_size=10).map(lambda word: f"x{word}")
_SCALARS = st.one_of(
    st.booleans(), st.integers(-_EXACT, _EXACT), st.floats(allow_nan=False, allow_infinity=False), _TEXTS
)
_VALUES = st.recursive(
    st.one_of(st.none(), _SCALARS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_TEXTS, inner, max_size=3)),
    max_leaves=8,
)
_FIELDS = st.dictionaries(_WORDS, _VALUES.filter(lambda value: value is not None), max_size=4)
_VERSIONS = st.sampled_from(["2021-10-01-dataplanepreview", "2023-04-01", "2025-12-01-preview", "2031-01-01"])


def _known(kind: Kind, address: str, name: str, version: str) -> dict[str, Json]:
    """Return the least that a version of this kind says."""
    if kind is COMPONENT:
        spec = {"name": name, "version": version, "type": "command", "command": "echo", "inputs": {}, "outputs": {}}
        return {"componentSpec": spec | {"environment": "azureml:unadorned:1"}}
    known: dict[str, dict[str, Json]] = {
        MODEL.noun: {"modelType": "custom_model", "modelUri": address},
        DATA.noun: {"dataType": "uri_folder", "dataUri": address},
        CODE.noun: {"codeUri": address},
        ENVIRONMENT.noun: {"image": "python:3.11-slim"},
    }
    return known[kind.noun]


def _uploaded(server: LiveServer, base: str) -> str:
    """Upload a folder for a version and return its address."""
    started = server.call("POST", f"{base}/startPendingUpload", {"pendingUploadType": "TemporaryBlobReference"})
    place = started.json["blobReferenceForConsumption"]
    container, _, signature = place["credential"]["sasUri"].rpartition("/")[2].partition("?")
    plane = f"{server.file.blob_url}/{container}/folder/file.txt?{signature}"
    assert _put(server, plane) == 201
    return f"{place['blobUri']}/folder"


def _put(server: LiveServer, url: str) -> int:
    origin, _, path = url.partition("://")[2].partition("/")
    plane = replace(server, file=replace(server.file, url=f"http://{origin}"))
    return plane.call("PUT", f"/{path}", b"content", token=None, headers={"x-ms-blob-type": "BlockBlob"}).status


def _scope(provider: str, scope: str) -> str:
    return f"{provider}/workspaces/dev" if scope == "workspace" else f"{provider}/registries/contoso"


@pytest.fixture(scope="module", autouse=True)
def _plain(server: LiveServer) -> None:
    provider = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.MachineLearningServices"
    for scope in ("workspace", "registry"):
        path = f"{_scope(provider, scope)}/environments/unadorned/versions/1"
        body = {"properties": {"image": "python:3.11-slim"}}
        assert server.call("PUT", path, body).status in (200, 201)


def _same(sent: Json, came: Json) -> bool:
    """Compare as JSON does: 1 and 1.0 are one number, true is none."""
    return json.dumps(_plain_numbers(sent), sort_keys=True) == json.dumps(_plain_numbers(came), sort_keys=True)


def _plain_numbers(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _plain_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain_numbers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@pytest.mark.parametrize("scope", ["workspace", "registry"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.noun)
def test_unknown_properties_of_a_version_come_back(server: LiveServer, provider: str, kind: Kind, scope: str) -> None:
    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(extra=_FIELDS, told=st.dictionaries(_TEXTS.filter(bool), _TEXTS, max_size=3), version=_VERSIONS)
    def round_trips(extra: dict[str, Json], told: dict[str, str], version: str) -> None:
        name = f"trip_{next(_NUMBERS)}"
        base = f"{_scope(provider, scope)}/{kind.plural}/{name}/versions/1"
        needs_bytes = kind not in (COMPONENT, ENVIRONMENT)
        known = _known(kind, _uploaded(server, base) if needs_bytes else "", name, "1")
        body = {"properties": {**known, **extra, "properties": told, "tags": told}}
        if kind is COMPONENT:
            body["properties"]["componentSpec"] |= extra
        made = server.call("PUT", f"{base}?api-version={version}", body)
        assert made.status == 201, made.body
        came = server.call("GET", f"{base}?api-version={version}").json["properties"]
        assert all(_same(value, came.get(key)) for key, value in extra.items()), (extra, came)
        assert (came["properties"], came["tags"]) == (told, told)
        if kind is COMPONENT:
            assert all(_same(value, came["componentSpec"].get(key)) for key, value in extra.items())
        again = server.call("PUT", f"{base}?api-version={version}", {"properties": came})
        assert again.status == 200, again.body  # what came may be sent back as it is
        assert _same(came, again.json["properties"])

    round_trips()


@pytest.mark.parametrize("kind", ["workspaces", "registries", "datastores", "computes"])
def test_unknown_properties_of_a_resource_come_back(server: LiveServer, provider: str, kind: str) -> None:
    least: dict[str, dict[str, Json]] = {
        "workspaces": {}, "registries": {"regionDetails": [{"location": "eastus"}]},
        "datastores": {"datastoreType": "AzureDataLakeGen2"}, "computes": {"computeType": "AmlCompute"},
    }  # fmt: skip
    inner = f"{provider}/workspaces/dev"

    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
    @given(extra=_FIELDS, version=_VERSIONS)
    def round_trips(extra: dict[str, Json], version: str) -> None:
        path = f"{inner if kind in ('datastores', 'computes') else provider}/{kind}/trip{next(_NUMBERS)}"
        body = {"location": "eastus", "properties": {**least[kind], **extra}}
        made = server.call("PUT", f"{path}?api-version={version}", body)
        assert made.status in (200, 201, 202), made.body
        came = server.call("GET", f"{path}?api-version={version}").json["properties"]
        assert all(_same(value, came.get(key)) for key, value in extra.items()), (extra, came)

    round_trips()
