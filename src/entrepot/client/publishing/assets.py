"""Models, data assets and environments: from checked YAML to a version on the server."""

from pathlib import Path
from typing import Any

from entrepot.client import files
from entrepot.client.files import Document, Place
from entrepot.client.publishing.content import (
    Publisher,
    create_numbered,
    is_local,
    require_name,
    send,
)
from entrepot.client.shapes import asset_bodies
from entrepot.core.digests import digest_json

Json = Any

ANONYMOUS_ENVIRONMENT = "CliV2AnonymousEnvironment"  # azure-ai-ml's name, by which servers know it
BYTES_TYPES = {"uri_file": "file", "uri_folder": "folder", "mltable": "folder"}


def create_model(publisher: Publisher, document: Document, data: dict[str, Json]) -> Json:
    """Create a model version and return what the server answers."""
    name = require_name(document, data, "model")
    path = _required_path(document, data, "model")

    def make(version: str) -> Json:
        return asset_bodies.model(data, uri=_address(publisher, "models", name, version, document, path))

    return create_numbered(publisher, "models", name, data.get("version"), make)


def create_data(publisher: Publisher, document: Document, data: dict[str, Json]) -> Json:
    """Create a data asset's version and return what the server answers."""
    name = require_name(document, data, "data asset")
    path = _required_path(document, data, "data asset")
    if is_local(path):
        data["type"] = checked_type(document, ("path",), document.resolve(path, ("path",)), data.get("type"))

    def make(version: str) -> Json:
        return asset_bodies.data_asset(data, uri=_address(publisher, "data", name, version, document, path))

    return create_numbered(publisher, "data", name, data.get("version"), make)


def create_environment(publisher: Publisher, document: Document, data: dict[str, Json]) -> Json:
    """Create an environment's version and return what the server answers."""
    name = require_name(document, data, "environment")
    conda = conda_text(document, data, ())

    def make(version: str) -> Json:
        context = None
        if data.get("build"):
            context = _context(publisher, name, version, document, data, ())[0]
        return asset_bodies.environment(data, conda=conda, context_uri=context, is_anonymous=False)

    return create_numbered(publisher, "environments", name, data.get("version"), make)


def anonymous_environment(publisher: Publisher, document: Document, data: dict[str, Json], place: Place) -> str:
    """Create the environment that stands inside a component or job, named by its content; return its id."""
    conda = conda_text(document, data, place)
    context, digest = None, ""
    if data.get("build"):
        context, digest = _context(publisher, ANONYMOUS_ENVIRONMENT, "1", document, data, place)
    body = asset_bodies.environment(data, conda=conda, context_uri=context, is_anonymous=True)
    content = {**body["properties"], "build": {**body["properties"].get("build", {}), "contextUri": digest}}
    version = digest_json(content)
    publisher.session.put(publisher.target.version("environments", ANONYMOUS_ENVIRONMENT, version), body)
    return publisher.target.asset_id("environments", ANONYMOUS_ENVIRONMENT, version)


def conda_text(document: Document, data: dict[str, Json], place: Place) -> str | None:
    """Return the conda specification as sorted YAML, from a file or from within; None when there is none."""
    conda = data.get("conda_file")
    if not conda:
        return None
    where = (*place, "conda_file")
    if isinstance(conda, str):
        path = document.resolve(conda, where)
        conda = files.load_data(path)
        if not isinstance(conda, dict):
            raise document.wrong(where, f"{path} must hold a mapping such as `dependencies: [python=3.11]`")
    dependencies = conda.get("dependencies")
    if dependencies is not None and not isinstance(dependencies, list):
        raise document.wrong(where, f"dependencies must be a list, not {files.type_text(dependencies)}")
    return files.dump(conda)


def checked_type(document: Document, place: Place, path: Path, kind: str | None) -> str:
    """Return the type of a local file or folder, checked against the one that is said. Raises FileFailure."""
    is_folder = path.is_dir()
    if kind in BYTES_TYPES and (BYTES_TYPES[kind] == "folder") != is_folder:
        found, right = ("folder", "uri_folder") if is_folder else ("file", "uri_file")
        raise document.wrong(
            place, f"{path} is a {found}, and the type {kind} means a {BYTES_TYPES[kind]}: write {right}"
        )
    return kind or ("uri_folder" if is_folder else "uri_file")


def _required_path(document: Document, data: dict[str, Json], noun: str) -> str:
    path = data.get("path")
    if not path:
        raise document.wrong((), f"a {noun} needs a path: write `path: ./folder` in the file or give --path")
    return str(path)


def _address(publisher: Publisher, plural: str, name: str, version: str, document: Document, path: str) -> str:
    """Return where the bytes are: as referred to, or where they were uploaded to."""
    if not is_local(path):
        return path
    return send(publisher, plural, name, version, document.resolve(path, ("path",))).uri


def _context(
    publisher: Publisher, name: str, version: str, document: Document, data: dict[str, Json], place: Place
) -> tuple[str, str]:
    path = data["build"].get("path")
    where = (*place, "build", "path")
    if not path:
        raise document.wrong((*place, "build"), "a build context needs a folder: write `path: ./context`")
    if not is_local(path):
        return path, path
    folder = document.resolve(path, where)
    if not folder.is_dir():
        raise document.wrong(where, f"{path!r} is a file, and a build context is a folder")
    uploaded = send(publisher, "environments", name, version, folder)
    return f"{uploaded.uri}/", uploaded.digest
