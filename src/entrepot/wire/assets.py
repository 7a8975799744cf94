"""Asset versions and containers on the wire: what bodies must hold, and answers about bytes. Pure."""

from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import InvalidReference, InvalidRequest
from entrepot.core.ids import AssetPointer, parse_reference

Json = Any


def data_reference(
    *, blob_uri: str, sas: str, transfer: str = "", prefix: str | None = None, upload_id: str = ""
) -> dict[str, Json]:
    """Return the answer to tempdatarefs, startPendingUpload and datarefs.

    `blobReferenceForConsumption` is the genuine shape; `transferUri` in it is ours, for the client that speaks the
    data plane's own calls (signed too), and `prefix` names the files that are meant within the container.
    """
    reference: dict[str, Json] = {
        "blobUri": blob_uri,
        "storageAccountArmId": "entrepot",
        "credential": {"credentialType": "SAS", "sasUri": f"{blob_uri}?{sas}"},
    }
    if transfer:
        reference["transferUri"] = transfer
    if prefix is not None:
        reference["prefix"] = prefix
    return {
        "blobReferenceForConsumption": reference,
        "pendingUploadId": upload_id or None,
        "pendingUploadType": "TemporaryBlobReference",
    }


def asset_named_in(body: Mapping[str, Json]) -> AssetPointer:
    """Return the asset that a (temp)datarefs body names by `assetId`. Raises InvalidRequest or InvalidReference."""
    asset_id = body.get("assetId")
    if not isinstance(asset_id, str) or not asset_id:
        raise InvalidRequest("The body must name an asset: {'assetId': 'azureml://registries/...'}", target="assetId")
    found = parse_reference(asset_id)
    if not isinstance(found, AssetPointer):
        raise InvalidReference(f"assetId {asset_id!r} names no asset", target="assetId")
    return found


def text_field(body: Mapping[str, Json], name: str) -> str:
    """Return a text field that must be there. Raises InvalidRequest."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"The body must have a text {name!r}", target=name)
    return value


def text_list(body: Mapping[str, Json], name: str) -> list[str]:
    """Return a list of texts that must be there. Raises InvalidRequest."""
    value = body.get(name)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidRequest(f"The body must have {name!r}, a list of texts", target=name)
    return value


def optional_text(body: Mapping[str, Json], name: str) -> str | None:
    """Return a text field or None. Raises InvalidRequest when it is something else."""
    value = body.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise InvalidRequest(f"{name!r} must be text: got {value!r}", target=name)
    return value
