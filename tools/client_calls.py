"""Print, as JSON, every call that azure-ai-ml's generated clients and MLflow's protocol know.

Runs in an environment with both. Prints [[family, operation, method, path template], ...]; MLflow's paths begin at the
version of its API.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import azure.ai.ml
from mlflow.protos import databricks_pb2
from mlflow.protos.mlflow_artifacts_pb2 import MlflowArtifactsService
from mlflow.protos.model_registry_pb2 import ModelRegistryService
from mlflow.protos.service_pb2 import MlflowService

_BUILDER = re.compile(r"build_(\w+)_request\(")
_URL = re.compile(r'_url = (?:kwargs\.pop\(\s*"template_url",\s*)?"([^"]+)"')
_BASE = re.compile(r'_endpoint = "\{endpoint\}([^"]+)"')
_METHOD = re.compile(r'HttpRequest\(\s*method="(\w+)"')


def of_azure() -> Iterator[tuple[str, str, str, str]]:
    """Yield the calls of the generated clients, read from their source."""
    top = Path(azure.ai.ml.__file__).parent / "_restclient"
    for file in top.rglob("*_operations.py"):
        if "aio" in file.parts:
            continue
        family = file.relative_to(top).parts[0]
        client = file.parent.parent / "_client.py"
        base = _BASE.search(client.read_text()) if client.exists() else None
        for part in re.split(r"^def ", file.read_text(), flags=re.MULTILINE)[1:]:
            name, url, method = _BUILDER.match(part), _URL.search(part), _METHOD.search(part)
            if name and url and method:
                yield family, name[1], method[1], (base[1] if base else "") + url[1]


def of_mlflow() -> Iterator[tuple[str, str, str, str]]:
    """Yield the calls of MLflow's services, read from their protocol."""
    for service in (MlflowService, ModelRegistryService, MlflowArtifactsService):
        for call in service.DESCRIPTOR.methods:
            for endpoint in call.GetOptions().Extensions[databricks_pb2.rpc].endpoints:
                path = re.sub(r"<[^>]+>", "{path}", endpoint.path)
                yield "mlflow", call.name, endpoint.method, f"/api/{max(2, endpoint.since.major)}.0{path}"


if __name__ == "__main__":
    sys.stdout.write(json.dumps(sorted({*of_azure(), *of_mlflow()})))
