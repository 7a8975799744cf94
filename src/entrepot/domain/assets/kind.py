"""What sets one asset kind apart from another, as one value of plain functions; and what a version is before it is one.

The five kinds are a module each; `kinds.py` is their table. Nothing is looked up or written here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from entrepot.core.digests import Digest
from entrepot.core.errors import InvalidRequest
from entrepot.core.ids import AssetRef, Region
from entrepot.core.manifests import Manifest
from entrepot.domain.scopes import Home
from entrepot.store.documents import Change, Link

Json = Any
Properties = dict[str, Json]

TEMPLATES = ("defaultDeploymentTemplate", "allowedDeploymentTemplates")
"""Which deployment templates are meant for a model: as in Azure, this may change without a new version of it."""

MUTABLE = frozenset({"description", "tags", "isArchived", "isAnonymous", "properties", "stage", *TEMPLATES})
"""What a later PUT may change or repeat at will; everything else is content, fixed when the version is made."""

SERVER_FILLED = frozenset(
    {"provisioningState", "flavors", "jobName", "systemMetadata", "system_metadata", "intellectualProperty"}
)
"""What this server, or Azure's, writes into answers and clients send back."""


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a version on their way in. `manifest` is what the asset's user sees; `name` the path's base name."""

    manifest: Manifest
    name: str
    is_file: bool
    read: Callable[[Digest], bytes]

    def text(self, path: str, *, limit_bytes: int = 1 << 20) -> str | None:
        """Return a small text file of the content, None when there is none of this path (or it is large)."""
        entry = self.manifest.find(path)
        if entry is None or entry.size_bytes > limit_bytes:
            return None
        return self.read(entry.digest).decode("utf-8", "replace")


def _accept(ref: AssetRef, properties: Properties, content: Content) -> None:
    """Find nothing wrong with any bytes."""


def _nothing(stored: Mapping[str, Json], sent: Mapping[str, Json], changed: Mapping[str, Json]) -> Properties:
    """Say nothing twice."""
    return {}


@dataclass(frozen=True, slots=True)
class Rules:
    """One kind's rules.

    `address` says where in the properties the bytes' address is. `normalise` checks properties and fills in defaults.
    `inspect` checks the bytes and may add what it read from them. `contents` returns what may never change, flat, by
    the name that a conflict tells; it must give equal values for equal versions, however clients spell them.
    `restated` returns the fields that say again what may change: given what is stored, what is sent, what changes.
    """

    address: tuple[str, ...]
    normalise: Callable[[AssetRef, Properties], None]
    contents: Callable[[Properties, Mapping[str, Json]], dict[str, Json]]
    inspect: Callable[[AssetRef, Properties, Content], None] = _accept
    needs_bytes: bool = True
    may_be_outside: bool = False
    restated: Callable[[Mapping[str, Json], Mapping[str, Json], Mapping[str, Json]], Properties] = _nothing
    may_be_late: bool = False  # in a workspace, at a place in a datastore where nothing lies yet


@dataclass(frozen=True, slots=True)
class Draft:
    """A version ready to be published: checked, pinned, its bytes in the store of region `at`.

    `changes` belong into the commit that makes the version, as the links do.
    """

    ref: AssetRef
    home: Home
    properties: Properties
    ours: dict[str, Json]
    links: tuple[Link, ...] = ()
    changes: tuple[Change, ...] = ()
    at: Region | None = None
    is_probably_new: bool = False  # nothing of this name and version was there a moment ago


def address_in(properties: Mapping[str, Json], path: tuple[str, ...]) -> str:
    """Return the address of the bytes, '' when there is none. Raises InvalidRequest when it is no text."""
    value: Json = properties
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidRequest(f"{'.'.join(path)} must be text, not {type(value).__name__}", target=".".join(path))
    return value


def with_address(properties: Properties, path: tuple[str, ...], address: str) -> None:
    """Set the address of the bytes."""
    *outer, last = path
    for step in outer:
        properties[step] = dict(properties.get(step) or {})
        properties = properties[step]
    properties[last] = address


def require_text(properties: Mapping[str, Json], name: str, *, choices: tuple[str, ...] = ()) -> str:
    """Return a text field. Raises InvalidRequest that names it, and the choices where there are some."""
    value = properties.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"properties.{name} is missing: it must be text", target=name)
    if choices and value not in choices:
        raise InvalidRequest(f"properties.{name} is {value!r}; it must be one of {', '.join(choices)}", target=name)
    return value


def is_empty(value: Json) -> bool:
    """Say whether a value says nothing: clients send null, '', [] and {} for what they do not mean."""
    return value is None or value in ("", [], {}) if not isinstance(value, bool) else False


def other_contents(properties: Properties, known: tuple[str, ...]) -> dict[str, Json]:
    """Return the fields that no rule knows and that say something: they pass through, and count as content."""
    return {
        name: value
        for name, value in properties.items()
        if name not in known and name not in MUTABLE and name not in SERVER_FILLED and not is_empty(value)
    }


def snapshot_contents(ours: Mapping[str, Json]) -> dict[str, Json]:
    """Return the bytes of a version, or the place where they are awaited, as content to compare."""
    if ours.get("awaits"):
        return {"path": ours["awaits"]["address"]}
    return {"content": f"sha256:{ours['snapshot']}"} if ours.get("snapshot") else {}
