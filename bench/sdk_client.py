"""What bench_sdk.py times, in an environment with the genuine clients: one JSON line for each thing done.

    sdk_client.py blobs CONTAINER_URL FOLDER    up and down by azure-storage-blob, as azure-ai-ml sets it up
    sdk_client.py create SUBSCRIPTION GROUP WORKSPACE FOLDER ROUNDS    models.create_or_update of a folder
    sdk_client.py place SUBSCRIPTION GROUP WORKSPACE    make the workspace; print its container's signed address

FOLDER has `big/big.bin` and the folder `small`.
"""

import contextlib
import filecmp
import io
import json
import logging
import sys
import time
import uuid
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

from azure.ai.ml import MLClient  # noqa: E402
from azure.ai.ml._azure_environments import _get_storage_endpoint_from_metadata  # noqa: E402
from azure.ai.ml.entities import Model, Workspace  # noqa: E402
from azure.identity import DefaultAzureCredential  # noqa: E402
from azure.storage.blob import ContainerClient  # noqa: E402

CONCURRENCY, WORKERS = 16, 8  # azure-ai-ml's own


def timed(step: str, act: Callable[[], object]) -> None:
    """Do it, without its progress bar, and print how long it took."""
    began = time.perf_counter()
    with contextlib.redirect_stderr(io.StringIO()):
        act()
    print(json.dumps({"step": step, "seconds": time.perf_counter() - began}), flush=True)


def blobs(url: str, folder: str) -> None:
    """Send the big file and the small ones, fetch them, and hold what came against what went."""
    work, run = Path(folder), uuid.uuid4().hex
    container = ContainerClient.from_container_url(url)
    big, back = work / "big" / "big.bin", work / "back.bin"
    timed("big up", lambda: send(container, f"{run}/big", big))
    timed("big down", lambda: fetch(container, f"{run}/big", back))
    if not filecmp.cmp(big, back, shallow=False):
        raise RuntimeError("the big file came back changed")
    back.unlink()
    files = sorted((work / "small").iterdir())
    with ThreadPoolExecutor(WORKERS) as pool:
        timed("small up", lambda: list(pool.map(lambda file: send(container, f"{run}/{file.name}", file), files)))
        came: list[bytes] = []
        names = [f"{run}/{file.name}" for file in files]
        timed("small down", lambda: came.extend(pool.map(lambda name: container.download_blob(name).readall(), names)))
    if came != [file.read_bytes() for file in files]:
        raise RuntimeError("the small files came back changed")


def send(container: ContainerClient, name: str, file: Path) -> None:
    """Upload a file."""
    with file.open("rb") as data:
        container.upload_blob(name, data, max_concurrency=CONCURRENCY)


def fetch(container: ContainerClient, name: str, file: Path) -> None:
    """Download to a file."""
    with file.open("wb") as out:
        container.download_blob(name, max_concurrency=CONCURRENCY).readinto(out)


def create(subscription: str, group: str, workspace: str, folder: str, rounds: str) -> None:
    """Register a folder that was not there before, as often as asked."""
    ml = MLClient(DefaultAzureCredential(), subscription, group, workspace)
    for number in range(int(rounds)):
        (Path(folder) / "new.txt").write_text(uuid.uuid4().hex)
        model = Model(name="bench", version=str(number + 1), path=folder, type="custom_model")
        timed("create", lambda m=model: ml.models.create_or_update(m))


def place(subscription: str, group: str, workspace: str) -> None:
    """Make the workspace and tell where its bytes go, as azure-ai-ml finds it out for an upload."""
    ml = MLClient(DefaultAzureCredential(), subscription, group, workspace)
    ml.workspaces.begin_create(Workspace(name=workspace, location="eastus")).result()
    store = ml.datastores.get_default()
    secret = ml.datastores._list_secrets(name=store.name, expirable_secret=True)
    account = f"https://{store.account_name}.blob.{_get_storage_endpoint_from_metadata()}"
    print(json.dumps({"url": f"{account}/{store.container_name}?{secret.sas_token}"}))


if __name__ == "__main__":
    {"blobs": blobs, "create": create, "place": place}[sys.argv[1]](*sys.argv[2:])
