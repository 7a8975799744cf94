"""Names of things: scopes, asset references, and every spelling of a reference that Azure ML users write.

Pure text in, values out; nothing is looked up here. Grammar: facts of Azure ML, re-stated in docs/concepts.md.
"""

import re
import unicodedata
from dataclasses import dataclass, field, replace
from typing import NewType

from entrepot.core.errors import InvalidName, InvalidReference
from entrepot.core.nouns import PROVIDER, Kind, kind_of

Region = NewType("Region", str)
"""A region's name, lower case and without spaces: `westeurope`."""

LATEST = "latest"
DEFAULT_COMPONENT_VERSION = "azureml_default"  # azure-ai-ml asks for it when a component has no version

_ASSET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}\Z")
_COMPONENT_NAME = re.compile(r"[a-z][a-z0-9_]{0,254}\Z")
_REGISTRY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{1,31}\Z")
_WORKSPACE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{1,31}\Z")
_JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}\Z")
_ENDPOINT_NAME = re.compile(r"(?=.{3,32}\Z)[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*\Z")
_DEPLOYMENT_NAME = re.compile(r"(?=.{1,32}\Z)[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*\Z")
_ENDPOINT_RULE = "to 32 letters, digits and single '-' between them, the first a letter"
_PORT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_REGION = re.compile(r"[a-z][a-z0-9]{1,39}\Z")
_VERSION_FORBIDDEN = re.compile(  # and what is not seen, or turns the direction of what is: it makes twins
    r"[\x00-\x1f\x7f-\x9f/\\?#%:@\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


@dataclass(frozen=True, slots=True)
class RegistryScope:
    """A registry as the home of assets."""

    name: str

    @property
    def key(self) -> str:
        """The prefix of the documents in this scope; registry names do not differ by case."""
        return f"registries/{self.name.lower()}"

    def asset_id(self, kind: Kind, name: str, version: str | None = None) -> str:
        """Return the id that clients see, of a container or of a version."""
        tail = "" if version is None else f"/versions/{version}"
        return f"azureml://registries/{self.name}/{kind.plural}/{name}{tail}"

    def __str__(self) -> str:
        return f"registry {self.name}"


@dataclass(frozen=True, slots=True)
class WorkspaceScope:
    """A workspace as the home of assets and jobs."""

    subscription: str
    resource_group: str
    name: str

    @property
    def key(self) -> str:
        """The prefix of the documents in this scope; ARM names do not differ by case."""
        return f"subscriptions/{self.subscription}/resourcegroups/{self.resource_group}/workspaces/{self.name}".lower()

    @property
    def arm_id(self) -> str:
        """The workspace's ARM id."""
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
            f"/providers/{PROVIDER}/workspaces/{self.name}"
        )

    def asset_id(self, kind: Kind, name: str, version: str | None = None) -> str:
        """Return the ARM id of a container or of a version."""
        tail = "" if version is None else f"/versions/{version}"
        return f"{self.arm_id}/{kind.plural}/{name}{tail}"

    def __str__(self) -> str:
        return f"workspace {self.name}"


Scope = RegistryScope | WorkspaceScope


@dataclass(frozen=True, slots=True)
class AssetRef:
    """One asset version: where, what kind, which name, which version."""

    scope: Scope
    kind: Kind
    name: str
    version: str
    container_key: str = field(init=False, repr=False, compare=False)
    """The key of the container document."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "container_key", f"{self.scope.key}/{self.kind.plural}/{self.name}")

    @property
    def id(self) -> str:
        """The id that clients see."""
        return self.scope.asset_id(self.kind, self.name, self.version)

    @property
    def key(self) -> str:
        """The document's key."""
        return f"{self.collection}/{self.version}"

    @property
    def collection(self) -> str:
        """The key prefix shared by all versions of this name."""
        return f"{self.container_key}/versions"

    def __str__(self) -> str:
        return f"{self.kind.noun} {self.name}:{self.version} in {self.scope}"


@dataclass(frozen=True, slots=True)
class AssetPointer:
    """A reference to an asset that may still leave the scope, version or label open.

    `scope` None: the scope in which the reference stands. `version` and `label` both None: the newest.
    """

    kind: Kind
    name: str
    version: str | None = None
    label: str | None = None
    scope: Scope | None = None
    workspace_guid: str | None = None  # of the portable form azureml://locations/.../workspaces/<guid>/...

    def within(self, scope: Scope) -> "AssetPointer":
        """Return the pointer with its scope filled in where it was open."""
        return self if self.scope else replace(self, scope=scope)


@dataclass(frozen=True, slots=True)
class DatastorePath:
    """`azureml://[.../]datastores/<datastore>/paths/<path>`; scope None: the workspace in which it stands."""

    datastore: str
    path: str
    scope: WorkspaceScope | None = None


@dataclass(frozen=True, slots=True)
class JobOutput:
    """`azureml://[.../]jobs/<job>/outputs/<output>[/paths/<path>]`; output `artifacts` is the default artifact root.

    scope None: the workspace in which it stands.
    """

    job: str
    output: str
    path: str = ""
    scope: WorkspaceScope | None = None


@dataclass(frozen=True, slots=True)
class RunArtifact:
    """MLflow's `runs:/<run>/<path>`."""

    run: str
    path: str


@dataclass(frozen=True, slots=True)
class WebAddress:
    """An address outside: http(s), wasbs, abfss, adl, git+."""

    url: str


Reference = AssetPointer | DatastorePath | JobOutput | RunArtifact | WebAddress

_WS = (
    r"subscriptions/(?P<sub>[^/]+)/resource[gG]roups/(?P<rg>[^/]+)/"
    r"(?:providers/Microsoft\.MachineLearningServices/)?workspaces/(?P<ws>[^/]+)"
)
_TAIL = r"(?P<type>[a-zA-Z]+)/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+)|/labels/(?P<label>[^/]+))?/?\Z"
_REGISTRY_ASSET = re.compile(r"azureml://(?:registries|feeds)/(?P<reg>[^/]+)/" + _TAIL, re.IGNORECASE)
_WORKSPACE_ASSET = re.compile(r"(?:azureml:/*|/)" + _WS + "/" + _TAIL, re.IGNORECASE)
_PORTABLE_ASSET = re.compile(r"azureml://locations/(?P<loc>[^/]+)/workspaces/(?P<guid>[^/]+)/" + _TAIL, re.IGNORECASE)
_CONTEXT_ASSET = re.compile(r"azureml://" + _TAIL, re.IGNORECASE)
_DATASTORE = re.compile(
    r"azureml:/*(?:" + _WS + r"/)?datastores/(?P<ds>[^/]+)(?:/paths/(?P<path>.*))?\Z", re.IGNORECASE
)
_JOB_OUTPUT = re.compile(
    r"azureml:/*(?:" + _WS + r"/)?jobs/(?P<job>[^/]+)/outputs/(?P<out>[^/]+)(?:/paths/(?P<path>.*))?/?\Z", re.IGNORECASE
)
_WEB = ("http://", "https://", "wasb://", "wasbs://", "abfs://", "abfss://", "adl://", "git+", "git://")


def parse_reference(text: str, kind: Kind | None = None) -> Reference | None:
    """Read any remote spelling of a reference; None means a plain word or a local path.

    `kind` gives the kind that short forms such as `azureml:name:version` stand for. Raises InvalidReference when
    the text starts as a reference does and then follows no known form.
    """
    if text.startswith(_WEB):
        return WebAddress(text)
    if text.startswith("runs:/"):
        run, _, path = text[len("runs:/") :].strip("/").partition("/")
        return RunArtifact(run, path)
    if match := _JOB_OUTPUT.match(text):
        scope = WorkspaceScope(match["sub"], match["rg"], match["ws"]) if match["sub"] else None
        return JobOutput(match["job"], match["out"], (match["path"] or "").strip("/"), scope)
    if match := _DATASTORE.match(text):
        scope = WorkspaceScope(match["sub"], match["rg"], match["ws"]) if match["sub"] else None
        return DatastorePath(match["ds"], match["path"] or "", scope)
    if pointer := _parse_long_pointer(text):
        return pointer
    if text.startswith("azureml://"):
        raise InvalidReference(
            f"{text!r} is not a reference: write azureml://registries/<registry>/<type>/<name>/versions/<version>, "
            "azureml://datastores/<datastore>/paths/<path> or azureml://jobs/<job>/outputs/<output>"
        )
    if text.startswith("azureml:"):
        return _parse_short_pointer(text[len("azureml:") :], kind)
    return None


def _parse_long_pointer(text: str) -> AssetPointer | None:
    for pattern in (_REGISTRY_ASSET, _WORKSPACE_ASSET, _PORTABLE_ASSET, _CONTEXT_ASSET):
        match = pattern.match(text)
        if not match:
            continue
        found = kind_of(match["type"])
        if found is None:
            continue
        parts = match.groupdict()
        scope: Scope | None = None
        if parts.get("reg"):
            scope = RegistryScope(parts["reg"])
        elif parts.get("ws"):
            scope = WorkspaceScope(parts["sub"], parts["rg"], parts["ws"])
        name, label = match["name"].removeprefix("azureml:"), match["label"]  # azure-ai-ml 1.35 leaves it on labels
        if match["version"] is None and label is None and "@" in name:
            name, _, label = name.partition("@")
        return AssetPointer(found, name, match["version"], label, scope, parts.get("guid"))
    return None


def _parse_short_pointer(text: str, kind: Kind | None) -> AssetPointer | None:
    if kind is None:
        return None
    if "@" in text:
        name, _, label = text.partition("@")
        if ":" in label or ":" in name:
            raise InvalidReference(f"azureml:{text}: give a version (:1) or a label (@latest), not both")
        return AssetPointer(kind, name, None, label)
    name, colon, version = text.rpartition(":")
    return AssetPointer(kind, name, version) if colon else AssetPointer(kind, text)


def normalise_region(text: str) -> Region:
    """Return a region's canonical spelling: `West US 2` is `westus2`. Raises InvalidName."""
    region = re.sub(r"[\s_-]", "", text).lower()
    if not _REGION.match(region):
        raise InvalidName(f"{text!r} is not a region name: write it in lower case without spaces, such as eastus")
    return Region(region)


def check_registry_name(name: str) -> str:
    """Return the name if it may name a registry. Raises InvalidName."""
    return _checked(
        name, _REGISTRY_NAME, "registry name", "2 to 32 letters, digits, '_' or '-', the first a letter or a digit"
    )


def check_workspace_name(name: str) -> str:
    """Return the name if it may name a workspace. Raises InvalidName."""
    return _checked(
        name, _WORKSPACE_NAME, "workspace name", "2 to 32 letters, digits, '_' or '-', the first a letter or a digit"
    )


def check_job_name(name: str) -> str:
    """Return the name if it may name a job. Raises InvalidName."""
    return _checked(name, _JOB_NAME, "job name", "up to 255 letters, digits, '_', '-' or '.'")


def check_endpoint_name(name: str) -> str:
    """Return the name if it may name an endpoint. Raises InvalidName."""
    return _checked(name, _ENDPOINT_NAME, "valid endpoint name", f"3 {_ENDPOINT_RULE}")


def check_deployment_name(name: str) -> str:
    """Return the name if it may name a deployment of an endpoint. Raises InvalidName."""
    return _checked(name, _DEPLOYMENT_NAME, "valid deployment name", f"1 {_ENDPOINT_RULE}")


def check_asset_name(kind: Kind, name: str) -> str:
    """Return the name if it may name an asset of this kind. Raises InvalidName."""
    if kind.plural == "components":
        return _checked(
            name, _COMPONENT_NAME, "component name", "lower-case letters, digits and '_', the first a letter, up to 255"
        )
    return _checked(
        name,
        _ASSET_NAME,
        f"{kind.noun} name",
        "letters, digits, '_', '-' and '.', the first a letter or a digit, up to 255",
    )


def check_port_name(name: str, *, side: str) -> str:
    """Return the name if it may name one of a job's `inputs` or `outputs`, each of which is a folder while it runs."""
    return _checked(
        name, _PORT_NAME, f"name for {side}", "up to 128 letters, digits, '_', '-' and '.', the first no '-' or '.'"
    )


def check_version(version: str) -> str:
    """Return the version if any asset may carry it: 1 to 255 characters, free text but for URL marks."""
    if not version or len(version) > 255 or version != version.strip() or _VERSION_FORBIDDEN.search(version):
        raise InvalidName(
            f"{version!r} is not a version: give 1 to 255 characters without / \\ ? # % : @, control and "
            "invisible characters, such as 1, 2.0.1 or 2026-11-23"
        )
    if version in (".", ".."):
        raise InvalidName(f"{version!r} is not a version: it would be a path")
    return version


def check_new_version(version: str) -> str:
    """Return the version if a new asset may carry it: not in letters that only look like others, as of full width."""
    plain = unicodedata.normalize("NFKC", check_version(version))
    if plain != version:
        raise InvalidName(f"{version!r} is not a version: it looks like {plain!r}, which is to be written so")
    return version


def _checked(name: str, pattern: re.Pattern[str], what: str, rule: str) -> str:
    if not pattern.match(name):
        raise InvalidName(f"{name!r} is not a {what}: use {rule}")
    return name
