"""A folder in front of an environment for what a command installs: `pip install` works, the environment stays whole.

It is a virtual environment of the same interpreter whose own site-packages come first and the environment's second; pip
finds what is installed in both, and puts a newer version into the first.
"""

import os
from pathlib import Path

from entrepot.compute.backend import Prepared

NAME = ".packages"
_PIP = '#!/bin/sh\nexec "${0%/*}/python" -m pip "$@"\n'
_WHEELS = Path("/usr/share/python-wheels")  # where Debian keeps what ensurepip installs


def lay(prepared: Prepared, folder: Path) -> str | None:
    """Make the overlay as `NAME` below a folder of the launch; None for an environment that has no such form."""
    root = prepared.bin_path.parent
    site = next(root.glob("lib/python*/site-packages"), None)
    configuration = root / "pyvenv.cfg"
    if site is None or not configuration.is_file():
        return None
    own = folder / NAME
    packages = own / site.relative_to(root)
    programs = own / "bin"
    packages.mkdir(parents=True, exist_ok=True)
    programs.mkdir(exist_ok=True)
    (own / "pyvenv.cfg").write_bytes(configuration.read_bytes())
    (packages / "environment.pth").write_text("\n".join(_paths(prepared, site)) + "\n")
    interpreter = prepared.bin_path / "python"
    target = interpreter.readlink() if interpreter.is_symlink() else interpreter
    for name in ("python", "python3", site.parent.name):
        _link(programs / name, target)
    for beside in (*root.iterdir(), *(root / "lib").iterdir()):  # libraries and data, which packages seek in sys.prefix
        if beside.name not in ("bin", "lib", configuration.name, site.parent.name):
            _link(own / beside.relative_to(root), beside)
    for name in ("pip", "pip3"):
        program = programs / name
        program.write_text(_PIP)
        program.chmod(0o755)
    return NAME


def _link(place: Path, target: Path) -> None:
    if not place.is_symlink():
        place.symlink_to(target)


def _paths(prepared: Prepared, site: Path) -> list[str]:
    """Return the lines that put the environment's packages on the path, and pip, which not every environment has."""
    lines = [f"import site; site.addsitedir({str(site)!r})"]
    if not (site / "pip").is_dir() and (wheel := _wheel(prepared, site.parent.name)):
        lines.append(str(wheel))
    return lines


def _wheel(prepared: Prepared, version: str) -> Path | None:
    """Return the wheel of pip that the interpreter of the machine brings."""
    base = prepared.base or Path(os.path.realpath(prepared.python))
    places = (base.parent.parent / "lib" / version / "ensurepip" / "_bundled", _WHEELS)
    return next((wheel for place in places for wheel in sorted(place.glob("pip-*.whl"))), None)
