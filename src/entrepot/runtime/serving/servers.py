"""uvicorn and what it needs, imported before the user's code and then out of its way.

The environment's own uvicorn goes before the one laid beside it, if it works. What uvicorn alone needs of the layer
is forgotten again, so that a module of the user's of that name is the one that the user's code imports.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import List

_BESIDE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_KEPT = frozenset(("uvicorn", "uvloop", "httptools", os.path.basename(os.path.dirname(os.path.abspath(__file__)))))
_PARTS = (
    "uvicorn", "uvicorn.lifespan.off", "uvicorn.loops.auto", "uvicorn.protocols.http.auto",
    "uvicorn.protocols.utils", "uvicorn.server",
)  # fmt: skip


def load() -> None:
    """Import uvicorn whole; the layer's when the environment's own one cannot be imported."""
    try:
        _load()
    except Exception:  # an old uvicorn with a new click, say: whatever it is, the layer's fits together
        for name in _names(("uvicorn", "click", "h11", "typing_extensions")):
            del sys.modules[name]
        sys.path.insert(0, _BESIDE)
        try:
            _load()
        finally:
            sys.path.remove(_BESIDE)
            sys.path.append(_BESIDE)
    own = [name.partition(".")[0] for name, module in list(sys.modules.items()) if _is_beside(module)]
    for name in _names([name for name in own if name not in _KEPT]):
        del sys.modules[name]


def _load() -> None:
    for name in _PARTS:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if name == "uvicorn" or not (error.name or "").startswith("uvicorn."):
                raise  # parts come and go between versions, the whole does not


def _names(packages: "List[str] | tuple[str, ...]") -> List[str]:
    return [name for name in sys.modules if name.partition(".")[0] in packages]


def _is_beside(module: object) -> bool:
    file = getattr(module, "__file__", None) or ""
    return file.startswith(_BESIDE + os.sep)
