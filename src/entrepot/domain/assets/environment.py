"""Environments: an image, perhaps with conda dependencies, or a build context. Builds: `domain/environments.py`."""

from collections.abc import Mapping
from typing import Any

from entrepot.core.digests import Digest, canonical_json, digest_json
from entrepot.core.errors import InvalidRequest
from entrepot.core.ids import AssetRef
from entrepot.domain import yaml_text
from entrepot.domain.assets.kind import Content, Properties, Rules, other_contents, snapshot_contents

Json = Any

DOCKERFILE = "Dockerfile"


def _normalise(ref: AssetRef, properties: Properties) -> None:
    image, build, conda = properties.get("image"), properties.get("build"), properties.get("condaFile")
    if build and not isinstance(build, dict):
        raise InvalidRequest("properties.build must be an object with contextUri", target="build")
    if build and image:
        raise InvalidRequest(
            f"{ref.name}:{ref.version} has both an image ({image}) and a build context: give one of them",
            target="build",
        )
    if not image and not build:
        raise InvalidRequest(
            f"{ref.name}:{ref.version} has neither an image nor a build context: give one of them, "
            "such as image: docker.io/python:3.11",
            target="image",
        )
    if image is not None and not isinstance(image, str):
        raise InvalidRequest(f"properties.image must be text, not {type(image).__name__}", target="image")
    if build:
        properties["build"] = {**build, "dockerfilePath": build.get("dockerfilePath") or DOCKERFILE}
    if conda:
        conda_of(properties)
    properties["osType"] = properties.get("osType") or "Linux"
    properties["environmentType"] = properties.get("environmentType") or "UserCreated"


def _inspect(ref: AssetRef, properties: Properties, content: Content) -> None:
    dockerfile = properties["build"]["dockerfilePath"]
    if content.manifest.find(dockerfile.removeprefix("./")) is None:
        raise InvalidRequest(
            f"The build context of {ref.name}:{ref.version} has no {dockerfile}; name it with dockerfile_path",
            target="build.dockerfilePath",
        )


def conda_of(properties: Mapping[str, Json]) -> dict[str, Json] | None:
    """Return the parsed conda file, None when there is none. Raises InvalidRequest that tells the line."""
    text = properties.get("condaFile")
    if not text:
        return None
    parsed = yaml_text.read(text, "The conda file") if isinstance(text, str) else text
    try:
        canonical_json(parsed)
    except (TypeError, ValueError) as error:  # dates, bytes, half surrogates, names of several types
        raise InvalidRequest(f"The conda file holds what JSON cannot: {error}", target="condaFile") from error
    if not isinstance(parsed, dict) or not isinstance(parsed.get("dependencies", []), list):
        raise InvalidRequest("The conda file must be a YAML mapping with a list 'dependencies'", target="condaFile")
    return parsed


def build_digest(properties: Mapping[str, Json], ours: Mapping[str, Json]) -> Digest:
    """Return what names the build: equal for all environments that ask for the same."""
    build = properties.get("build") or {}
    return digest_json(
        {
            "image": properties.get("image"),
            "conda": conda_of(properties),
            "context": ours.get("snapshot"),
            "dockerfile": build.get("dockerfilePath"),
        }
    )


def _contents(properties: Properties, ours: Mapping[str, Json]) -> dict[str, Json]:
    build = properties.get("build") or {}
    found: dict[str, Json] = {
        "image": properties.get("image"),
        "conda_file": conda_of(properties),
        "build.dockerfile_path": build.get("dockerfilePath"),
        "os_type": properties.get("osType"),
        **{f"build.{name}": text for name, text in snapshot_contents(ours).items()},
    }
    known = ("image", "condaFile", "build", "osType", "environmentType")
    return found | other_contents(properties, known)


RULES: Rules = Rules(
    address=("build", "contextUri"), normalise=_normalise, contents=_contents, inspect=_inspect, needs_bytes=False
)
