"""The `ml` extension of the genuine `az` as a wheel, made of this installation: the same files give the same bytes.

What is in it is in `extension/`, `core/`, `client/` and `cli/`; here is only how a wheel is put together.
https://packaging.python.org/specifications/binary-distribution-format/ tells the format.
"""

import base64
import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import entrepot

Json = Any

NAME = "ml"
PYTHON = ">=3.10"
SUMMARY = "The ml commands of Entrepot, self-hosted Azure ML registries"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip format knows no earlier time
SOURCE = Path(entrepot.__file__).parent
_VENDORED = ("core", "client", "cli")


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel: its file's name, its bytes and what az's index tells of it."""

    filename: str
    content: bytes
    metadata: Mapping[str, Json]

    @property
    def digest(self) -> str:
        """The SHA-256 of the bytes, in hex."""
        return hashlib.sha256(self.content).hexdigest()


def version_of(release: str) -> str:
    """Return the extension's version for a release of ours: above Microsoft's 2.x, so that az takes it for newer."""
    return f"3.{release}"


@cache
def wheel() -> Wheel:
    """Return the extension's wheel; made once in the life of a process."""
    version = version_of(entrepot.__version__)
    info = f"{NAME}-{version}.dist-info"
    settings = json.loads((SOURCE / "extension" / "azext_metadata.json").read_text())
    files = {
        **_payload(),
        f"{info}/METADATA": _metadata(version).encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: entrepot\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/top_level.txt": b"azext_ml\n",
    }
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD")
    metadata = {**settings, "name": NAME, "version": version, "summary": SUMMARY, "license": "MIT"}
    return Wheel(f"{NAME}-{version}-py3-none-any.whl", _zipped(files), metadata)


def _payload() -> dict[str, bytes]:
    files = {f"azext_ml/{name}": content for name, content in _folder(SOURCE / "extension")}
    files["azext_ml/vendored/entrepot/__init__.py"] = (SOURCE / "__init__.py").read_bytes()
    for layer in _VENDORED:
        files |= {f"azext_ml/vendored/entrepot/{layer}/{name}": data for name, data in _folder(SOURCE / layer)}
    return files


def _folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(folder.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            yield file.relative_to(folder).as_posix(), file.read_bytes()


def _metadata(version: str) -> str:
    return (
        f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\nSummary: {SUMMARY}\nLicense: MIT\n"
        f"Requires-Python: {PYTHON}\n"
    )


def _record(files: Mapping[str, bytes], own: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for name, content in sorted(files.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        writer.writerow((name, f"sha256={digest}", len(content)))
    writer.writerow((own, "", ""))
    return text.getvalue().encode()


def _zipped(files: Mapping[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return target.getvalue()
