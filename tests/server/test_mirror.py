"""The `ml` extension as a wheel: the same bytes each time, a true RECORD, an index that leads to it."""

import base64
import csv
import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path

from entrepot.server.mirror.index import command_tree, index
from entrepot.server.mirror.wheel import SOURCE, wheel
from entrepot.testing.live import LiveServer

PRINT = "from entrepot.server.mirror.wheel import wheel; print(wheel().digest)"


def contents() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(wheel().content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_another_process_makes_the_same_bytes() -> None:
    printed = subprocess.run([sys.executable, "-c", PRINT], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == wheel().digest


def test_the_record_tells_every_file_with_its_digest() -> None:
    files = contents()
    name = next(name for name in files if name.endswith("/RECORD"))
    rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(files[name].decode()))}
    assert set(rows) == set(files)
    for file, (digest, size) in rows.items():
        if file != name:
            told = base64.urlsafe_b64encode(hashlib.sha256(files[file]).digest()).rstrip(b"=").decode()
            assert (digest, size) == (f"sha256={told}", str(len(files[file])))


def test_it_holds_our_command_line_and_nothing_of_the_server() -> None:
    tops = {Path(name).parts[3] for name in contents() if name.startswith("azext_ml/vendored/entrepot/")}
    assert tops == {"__init__.py", "cli", "client", "core"}
    assert contents()["azext_ml/__init__.py"] == (SOURCE / "extension" / "__init__.py").read_bytes()


def test_the_index_leads_to_the_wheel(server: LiveServer) -> None:
    found = server.call("GET", "/azmirror/extensions/index.json", token=None, secure=True).json
    entry = found["extensions"]["ml"][0]
    assert entry == index(f"{server.file.https_url}/azmirror/extensions")["extensions"]["ml"][0]
    path = entry["downloadUrl"].removeprefix(server.file.https_url)
    fetched = server.call("GET", path, token=None, secure=True)
    assert hashlib.sha256(fetched.body).hexdigest() == entry["sha256Digest"]
    assert server.call("GET", f"{path}.asc", token=None).status == 404


def test_the_tree_of_commands_names_the_extension_of_each(server: LiveServer) -> None:
    found = server.call("GET", "/azmirror/extensions/extensionCommandTree.json", token=None).json
    assert found == command_tree()
    assert found["ml"]["job"]["create"] == "ml" and found["ml"]["workspace"]["outbound-rule"]["list"] == "ml"
