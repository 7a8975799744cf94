"""Outputs that become assets by themselves: `outputs: {x: {name: ..., version: ...}}`."""

from entrepot.core.ids import AssetRef
from entrepot.core.nouns import DATA, MODEL
from entrepot.domain.assets import catalog
from entrepot.domain.hub import Hub
from entrepot.domain.jobs.records import Record

_MODEL_TYPES = ("mlflow_model", "custom_model", "triton_model")


def register_outputs(hub: Hub, record: Record) -> None:
    """Create the asset versions that a job's outputs ask for, in the submitter's name. Safe to repeat."""
    for output, place in record.ours["order"]["outputs"].items():
        name = place.get("assetName")
        if not name:
            continue
        kind = MODEL if place["type"] in _MODEL_TYPES else DATA
        # without a version the job's name is one: the same however often this is repeated
        ref = AssetRef(record.scope, kind, name, place.get("assetVersion") or record.name)
        where = f"azureml://jobs/{record.name}/outputs/{output}"
        properties = (
            {"modelType": place["type"], "modelUri": where}
            if kind is MODEL
            else {"dataType": place["type"], "dataUri": where}
        )
        catalog.create(hub, record.submitter, ref, properties)
