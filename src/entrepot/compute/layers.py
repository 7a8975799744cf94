"""Layers: programs of ours, with what they need, laid beside users' environments and never into them.

`<root>/layers/<digest>` has the locked packages for one interpreter and a copy of our modules, all compiled; complete
when it has `.ok`. Environments on the same interpreter share it. The copy keeps a running program's modules as they
were when it started, whatever an upgrade of this server brings.
"""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from entrepot.compute.backend import Layer, Prepared
from entrepot.compute.environments import Environments
from entrepot.core.digests import Digest, digest_json, digest_of
from entrepot.core.errors import BuildFailed

_LAYOUT = 1  # part of every name: raise it when layers are built otherwise
_Log = Callable[[str], None]


class Layers:
    """Builds and finds layers below the root of `environments`."""

    def __init__(self, environments: Environments) -> None:
        self._environments = environments
        self._root = environments.root / "layers"
        self._root.mkdir(parents=True, exist_ok=True)

    def prepare(self, prepared: Prepared, layer: Layer, *, log: _Log) -> Path:
        """Return the layer's folder for the environment's interpreter, building it if it is not there yet."""
        interpreter = prepared.base or prepared.python.resolve()
        folder = self._root / _name(interpreter, layer)
        if (folder / ".ok").exists():
            return folder
        with self._environments.locked(folder.name, log=log):
            if not (folder / ".ok").exists():
                self._build(folder, interpreter, layer, log=log)
        return folder

    def _build(self, folder: Path, interpreter: Path, layer: Layer, *, log: _Log) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            if layer.requirements:
                lock = folder / "requirements.lock"
                lock.write_text(layer.requirements)
                log(f"laying {layer.name} beside the environment")
                self._environments.uv().run(
                    "pip", "install", "--quiet", "--target", str(folder), "--python", str(interpreter), "--no-deps",
                    "--only-binary", ":all:", "--compile-bytecode", "--require-hashes", "-r", str(lock),
                    readable=[interpreter.parent.parent], writes=folder, log=log,
                )  # fmt: skip
            shutil.copytree(layer.package, folder / layer.name, ignore=shutil.ignore_patterns("__pycache__"))
            _compile(interpreter, folder / layer.name)
        except BuildFailed as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise BuildFailed(f"{layer.name} can't be laid beside this environment: {error.message}") from error
        (folder / ".ok").touch()


def _name(interpreter: Path, layer: Layer) -> Digest:
    files = {
        str(path.relative_to(layer.package)): digest_of(path.read_bytes())
        for path in sorted(layer.package.rglob("*"))
        if path.is_file() and path.parent.name != "__pycache__"
    }
    stat = interpreter.stat()
    return digest_json([_LAYOUT, layer.name, layer.requirements, files, str(interpreter), stat.st_mtime_ns])


def _compile(interpreter: Path, package: Path) -> None:
    """Compile our modules: a launch may not write there, and compiling at each start would cost it time."""
    done = subprocess.run(
        [str(interpreter), "-I", "-S", "-m", "compileall", "-q", str(package)],
        capture_output=True, text=True, check=False, env={},
    )  # fmt: skip
    if done.returncode != 0:
        raise BuildFailed(f"it does not run on {interpreter}: {(done.stdout + done.stderr).strip()}")
