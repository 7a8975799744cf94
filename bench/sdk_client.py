"""What bench_sdk.py times, in an environment with the genuine clients: one JSON line for each thing done.

    sdk_client.py big CONTAINER_URL FOLDER    one file up and down by azure-storage-blob, as azure-ai-ml sets it up
    sdk_client.py small CONTAINER_URL FOLDER    many: by azure-storage-blob in threads, and by azure-ai-ml as a folder
    sdk_client.py create SUBSCRIPTION GROUP WORKSPACE FOLDER ROUNDS    models.create_or_update of a folder
    sdk_client.py place SUBSCRIPTION GROUP WORKSPACE    make the workspace; print its container's signed address

FOLDER has `big/big.bin` and the folder `small`.
"""

import contextlib
import filecmp
import io
import json
import logging
import shutil
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

from azure.ai.ml import MLClient  # noqa: E402
from azure.ai.ml._artifacts._blob_storage_helper import BlobStorageClient  # noqa: E402
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


def big(url: str, folder: str) -> None:
    """Send the big file, fetch it, and hold what came against what went."""
    work, name = Path(folder), uuid.uuid4().hex
    container = ContainerClient.from_container_url(url)
    file, back = work / "big" / "big.bin", work / "back.bin"
    timed("big up", lambda: send(container, name, file))
    timed("big down", lambda: fetch(container, name, back))
    if not filecmp.cmp(file, back, shallow=False):
        raise RuntimeError("the big file came back changed")
    back.unlink()


def small(url: str, folder: str) -> None:
    """Send the small files and fetch them, in both ways, and hold what came against what went."""
    files = sorted((Path(folder) / "small").iterdir())
    contents = [file.read_bytes() for file in files]
    container, run = ContainerClient.from_container_url(url), uuid.uuid4().hex
    names = [f"{run}/{file.name}" for file in files]
    came: list[bytes] = []
    with ThreadPoolExecutor(WORKERS) as pool:
        timed("small up", lambda: list(pool.map(send, repeat(container), names, files)))
        timed("small down", lambda: came.extend(pool.map(lambda name: container.download_blob(name).readall(), names)))
    with tempfile.TemporaryDirectory(prefix="bench-sdk-") as place:
        named, back = Path(place) / uuid.uuid4().hex, Path(place) / "back"
        shutil.copytree(Path(folder) / "small", named)
        timed("folder up", lambda: BlobStorageClient(None, url).upload(str(named), "bench", "1"))
        timed("folder down", lambda: BlobStorageClient(None, url).download(named.name, back))
        again = [(back / file.name).read_bytes() for file in files]
    if came != contents or again != contents:
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
    {"big": big, "small": small, "create": create, "place": place}[sys.argv[1]](*sys.argv[2:])
