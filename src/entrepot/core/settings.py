"""What an operator may set, one field each, from `<home>/config.toml` and ENTREPOT_* environment variables.

Every field has a heading in docs/operations.md (a test insists). Standard library only: the CLI reads it too.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_origin

from entrepot.core.errors import InvalidRequest

DEFAULT_PORT = 7420
DEFAULT_HTTPS_PORT = 7443
LOCAL_SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
LOCAL_TENANT = "00000000-0000-0000-0000-0000000000aa"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one server process. Paths are absolute; sizes in bytes; times in seconds."""

    home: Path
    host: str = "127.0.0.1"
    hostname: str = ""  # by which others reach this server; needed when `host` is not loopback
    port: int = DEFAULT_PORT
    https_port: int = DEFAULT_HTTPS_PORT
    tls_certificate: str = ""  # PEM files of one's own; empty: made by the home's own authority
    tls_key: str = ""
    database_url: str = ""  # empty: SQLite in <home>/entrepot.db; else postgresql://...
    blob_url: str = ""  # empty: files in <home>/regions; else memory://, s3://, az://, gs://
    regions: tuple[str, ...] = ("eastus", "westus", "westeurope")
    open_regions: bool = True  # embedded: all of Azure's regions and those of `regions`; else only these
    subscription: str = LOCAL_SUBSCRIPTION
    tenant: str = LOCAL_TENANT
    environment_python: str = "exact"  # exact | nearest
    environment_builds_at_create: bool = True
    environments_folder: str = ""  # empty: <home>/environments; homes of one user may share another
    sandbox: str = "auto"  # auto | bwrap | none
    serving_idle_s: float = 300.0  # a deployment with min_instances 0 sleeps after so long without a request
    collection_flush_s: float = 60.0  # what a replica collects is in the blob store after so long, or when it is 1 MB
    step_slots: int = 0  # 0: one per processor
    upload_limit_bytes: int = 0  # 0: what the disk holds
    reserve_bytes: int = 1 << 30  # uploads are refused when less than this would stay free
    head_limit_bytes: int = 64 << 10  # of a request: its first line and headers
    head_timeout_s: float = 20.0
    body_limit_bytes: int = 32 << 20  # of a request to the API; uploads have `upload_limit_bytes`
    connections_per_address: int = 256  # of a client elsewhere, at all ports together; 0: no bound
    slowest_bytes_per_s: int = 4096  # who sends a body or reads an answer more slowly is sent away
    fetch_addresses: tuple[str, ...] = ("loopback",)  # loopback | public | networks: whom a user may have us ask
    fetch_limit_bytes: int = 10 << 30
    fetch_timeout_s: float = 600.0
    fsync: bool = True
    log_level: str = "info"
    metrics_key: str = field(default="", repr=False)  # by which a scraper may read /metrics, and nothing else
    metrics_open: bool = False  # /metrics is for everybody
    oidc_providers: tuple[Mapping[str, Any], ...] = ()  # outside providers whose tokens are believed
    secrets_key: str = field(default="", repr=False)  # empty: <home>/keys/secrets.key
    extra: Mapping[str, Any] = field(default_factory=dict)  # settings of plug-ins, by plug-in name

    @property
    def is_embedded(self) -> bool:
        """True when metadata and bytes live in `home` and one process serves them."""
        return not self.database_url and not self.blob_url

    @property
    def environments(self) -> Path:
        """The folder of built environments; a relative one lies below the home."""
        return self.home / Path(self.environments_folder or "environments").expanduser()

    @property
    def is_exposed(self) -> bool:
        """True when other machines may reach the server."""
        return not is_loopback(self.host)

    @property
    def plain_host(self) -> str:
        """Where plain HTTP is spoken: never where others could listen in."""
        return "127.0.0.1" if self.is_exposed else self.host


def is_loopback(address: str) -> bool:
    """Say whether an address is this machine's own."""
    return address in ("localhost", "::1") or address.removeprefix("::ffff:").startswith("127.")


def default_home() -> Path:
    """Return ENTREPOT_HOME or ~/.entrepot, absolute."""
    return Path(os.environ.get("ENTREPOT_HOME") or Path.home() / ".entrepot").expanduser().absolute()


def load_settings(home: Path, *, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Return defaults, under config.toml, under ENTREPOT_* variables, under `overrides` (None values are skipped)."""
    values: dict[str, Any] = {}
    file = home / "config.toml"
    if file.exists():
        values |= _from_file(file)
    for spec in fields(Settings):
        if spec.name not in ("home", "extra") and (text := os.environ.get(f"ENTREPOT_{spec.name.upper()}")):
            values[spec.name] = _parse(spec.name, spec.type, text)
    values |= {name: value for name, value in (overrides or {}).items() if value is not None}
    return Settings(home=home, **values)


def _from_file(file: Path) -> dict[str, Any]:
    import tomllib  # Python 3.11 has it; the command line in `az`, which reads no config.toml, runs on 3.10 too

    try:
        table = tomllib.loads(file.read_text())
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequest(f"{file} is not TOML: {error}") from error
    known = {spec.name: spec.type for spec in fields(Settings)} | {"home": None}
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise InvalidRequest(f"{file}: unknown setting {unknown[0]!r}; known are {', '.join(sorted(known))}")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in table.items() if name != "home"}


def _parse(name: str, kind: Any, text: str) -> Any:
    if name == "oidc_providers":
        return _tables(name, text)
    if get_origin(kind) is tuple and get_args(kind):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    try:
        if kind is bool:
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
        return kind(text)
    except (KeyError, ValueError) as error:
        raise InvalidRequest(f"ENTREPOT_{name.upper()}={text!r} is not a {kind.__name__}") from error


def _tables(name: str, text: str) -> tuple[Mapping[str, Any], ...]:
    import json

    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"ENTREPOT_{name.upper()} is no JSON: {error}") from error
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InvalidRequest(f"ENTREPOT_{name.upper()} must be a JSON list of objects")
    return tuple(value)
