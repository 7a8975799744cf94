"""What an image name says about Python, for a backend that runs no images: a host interpreter stands in for some.

Only images whose Python is their point are mapped; others bring programs that a host interpreter does not have.
"""

import re
from dataclasses import dataclass

from entrepot.core.errors import BuildFailed

_PYTHON = (
    "library/python",
    "devcontainers/python",
    "vscode/devcontainers/python",
    "bitnami/python",
    "chainguard/python",
)
_CONDA = ("continuumio/miniconda3", "continuumio/anaconda3", "condaforge/miniforge3", "condaforge/mambaforge",
          "mambaorg/micromamba")  # fmt: skip
_DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")


@dataclass(frozen=True, slots=True)
class ImagePython:
    """The Python clauses of an image, such as `==3.11.*`, and whether a host interpreter can stand in for it."""

    clauses: str
    is_mapped: bool
    brings_packages: bool = False


def read_image(image: str) -> ImagePython:
    """Say which Python an image name promises. Raises BuildFailed for a name that is none."""
    host, repository, tag = _split(image)
    if host in _DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    if repository in _PYTHON:
        return ImagePython(_of_python_tag(tag), is_mapped=True)
    if host == "mcr.microsoft.com" and repository.startswith("azureml/"):
        return ImagePython(
            _of_azureml(f"{repository}:{tag}"), is_mapped=True, brings_packages="/curated/" in repository
        )
    if repository in _CONDA:
        return ImagePython("", is_mapped=True)
    return ImagePython("", is_mapped=False)


def refuse_image(image: str) -> BuildFailed:
    """Return the error for an image that only a container backend can run."""
    return BuildFailed(
        f"Image {image} needs a backend that runs containers: the local backend has host interpreters only, which can "
        "stand in for python and mcr.microsoft.com/azureml images. Add a conda_file, or name one of those images"
    )


def refuse_curated(image: str) -> BuildFailed:
    """Return the error for an image that is wanted for the packages in it."""
    return BuildFailed(
        f"Image {image} brings packages along, and the local backend has host interpreters only. Use an environment of "
        "the registry 'azureml' (azureml://registries/azureml/environments/...), or add a conda_file with the packages"
    )


def _split(image: str) -> tuple[str, str, str]:
    """Return (registry host, repository, tag) of an image reference, without its digest."""
    name = image.strip().partition("@")[0].lower()
    head, _, rest = name.partition("/")
    host = head if rest and ("." in head or ":" in head or head == "localhost") else _DOCKER_HUB[0]
    path = rest if rest and host == head else name
    repository, _, tag = path.partition(":")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._/-]*", repository):
        raise BuildFailed(f"Image {image!r} is not an image name such as docker.io/python:3.11")
    return host, repository, tag


def _of_python_tag(tag: str) -> str:
    match = re.match(r"(3(?:\.\d+){0,2})(?![\d.])", tag)
    if match is None:
        old = re.match(r"2(?:\.\d+){0,2}(?![\d.])", tag)
        return f"=={old[0]}.*" if old else ""
    return "" if match[1] == "3" else f"=={match[1]}.*"


def _of_azureml(text: str) -> str:
    match = re.search(r"(?<![a-z])py(?:thon)?-?3\.?(\d{1,2})(?!\d)", text)
    return f"==3.{match[1]}.*" if match else ""
