"""Environments of the genuine clients, beside ours: `build/<name>`, made of the locked `requirements/<name>.txt`."""

import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
_INSTALL = """
set -eu; python="$1"; uv="$2"; name="$3"; . tools/index.sh
"$uv" venv --quiet --allow-existing -p "$python" "build/$name"
"$uv" pip sync --quiet --require-hashes --compile-bytecode -p "build/$name/bin/python" "requirements/$name.txt"
"""


def made(name: str) -> Path:
    """Return the environment's folder, after making it unless it is as its requirements say."""
    lock, folder = TOP / "requirements" / f"{name}.txt", TOP / "build" / name
    made_of = folder / "made-of.txt"
    if not made_of.exists() or made_of.read_text() != lock.read_text():
        uv = str(Path(sys.executable).with_name("uv"))
        words = ["sh", "-c", _INSTALL, "install", sys.executable, uv, name]
        subprocess.run(words, cwd=TOP, check=True, timeout=1200)
        made_of.write_text(lock.read_text())
    return folder
