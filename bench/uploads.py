"""For the benches of bytes: a server with a registry and a workspace, commands, and addresses to upload to."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from entrepot.client.connection import Connection
from entrepot.core.settings import LOCAL_SUBSCRIPTION
from entrepot.testing.live import live

REGION = "eastus"
IN_REGISTRY = ("--registry-name", "bench")
IN_WORKSPACE = ("-g", "bench", "-w", "bench")
_PROVIDER = "Microsoft.MachineLearningServices"
_WORKSPACE = f"/subscriptions/{LOCAL_SUBSCRIPTION}/resourceGroups/bench/providers/{_PROVIDER}/workspaces/bench"


def entrepot(home: Path, *words: str) -> None:
    """Run one command as a user would, in a process of its own."""
    command = [sys.executable, "-m", "entrepot.cli.main", *words]
    environment = {**os.environ, "ENTREPOT_HOME": str(home)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr}")


@contextmanager
def served(folder: Path) -> Iterator[Path]:
    """Run a server with a registry and a workspace, both called `bench`, in one region; give its home."""
    home = folder / "home"
    with live(home):
        registry = folder / "registry.yml"
        registry.write_text(f"name: bench\nlocation: {REGION}\nreplication_locations:\n  - location: {REGION}\n")
        entrepot(home, "group", "create", "-n", "bench", "-l", REGION)
        entrepot(home, "ml", "workspace", "create", "-n", "bench", "-g", "bench", "-l", REGION)
        entrepot(home, "ml", "registry", "create", "--file", str(registry), "-g", "bench")
        yield home


def upload_address(home: Path) -> str:
    """Return an address to upload to, as the commands get one."""
    run = json.loads((home / "run" / "server.json").read_text())
    token = (home / "run" / "token").read_text().strip()
    answer = Connection(run["url"]).request(
        "POST",
        f"{_WORKSPACE}/models/bench/versions/1/startPendingUpload?api-version=2023-08-01-preview",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        body=b'{"pendingUploadType": "TemporaryBlobReference"}',
    )
    return str(json.loads(answer.body)["blobReferenceForConsumption"]["transferUri"])
