"""`ml model`, `ml environment`, `ml component`, `ml data`: one implementation of each verb for all kinds."""

from __future__ import annotations

from entrepot.client import assets
from entrepot.client.assets import PLURALS
from entrepot.client.failures import Failure, ServiceFailure
from entrepot.client.shapes import asset_views

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from entrepot.cli.call import Call
    from entrepot.client.files import Document

    Json = Any

OVERRIDES = ("name", "version", "description", "type", "stage", "datastore", "image", "os_type")


def show(call: Call) -> Json:
    """Return a version."""
    return asset_views.view(PLURALS[call.noun], _chosen(call))


def list_(call: Call) -> Json:
    """Return the newest version of each name, or the versions of one."""
    from entrepot.cli.commands.results import cut

    items = assets.listed(
        call.session,
        call.target(),
        PLURALS[call.noun],
        name=call.text("name"),
        with_archived=call.flag("include_archived"),
        only_archived=call.flag("archived_only"),
    )
    if stage := call.text("stage"):
        items = (item for item in items if item.get("stage") == stage)
    return cut(call, items)


def archive(call: Call) -> None:
    """Hide a version, or a name with all its versions."""
    _set_archived(call, is_archived=True)


def restore(call: Call) -> None:
    """Undo an archiving."""
    _set_archived(call, is_archived=False)


def _set_archived(call: Call, *, is_archived: bool) -> None:
    assets.set_archived(
        call.session,
        call.target(),
        PLURALS[call.noun],
        str(call.text("name")),
        version=call.text("version"),
        label=call.text("label"),
        is_archived=is_archived,
    )


def create(call: Call) -> Json:
    """Create a version from a file, from options, or both."""
    from entrepot.cli.commands.results import watched
    from entrepot.client import overrides
    from entrepot.client.publishing.content import Publisher
    from entrepot.client.schemas.checks import check

    plural = PLURALS[call.noun]
    document = _document(call)
    overrides.lay_over(document, call.words("set"))
    publish, schema = _publishing(call, document)
    data, warnings = check(document, schema)
    for warning in warnings:
        call.console.warn(warning)
    publisher = Publisher(call.session, call.target(), lambda label: watched(call, label))
    created = publish(publisher, document, data)
    for warning in publisher.warnings:
        call.console.warn(warning)
    return asset_views.view(plural, created)


def _document(call: Call) -> Document:
    """Return the file that was named, with the options laid over it."""
    from pathlib import Path

    from entrepot.client import files
    from entrepot.client.schemas.checks import is_reference

    path = call.file()
    document = files.load(path) if path else files.blank()
    for option in OVERRIDES:
        if call.text(option) is not None:
            document.data[option] = files.SetText(call.text(option) or "")
            document.forget((option,))
    for option in ("path", "conda_file"):
        if text := call.text(option):  # relative to where the command was typed, not to the file
            is_address = is_reference(text) or bool(files.scheme_of(text))
            document.data[option] = text if is_address else str(Path(text).absolute())
    if context := call.text("build_context"):
        dockerfile = (call.text("dockerfile_path") or "Dockerfile").lstrip("/")
        document.data["build"] = {"path": str(Path(context).absolute()), "dockerfile_path": dockerfile}
    if (tags := call.tags()) is not None:
        document.data["tags"] = {**(document.data.get("tags") or {}), **tags}
    return document


def _publishing(call: Call, document: Document) -> tuple[Any, Any]:
    """Return (the function that creates this noun, the schema of its files)."""
    if call.noun == "component":
        from entrepot.client.publishing import components

        return components.create_component, components.schema_of(document)
    from entrepot.client.publishing import assets as publishing
    from entrepot.client.schemas import assets as schemas

    return {
        "model": (publishing.create_model, schemas.MODEL),
        "data": (publishing.create_data, schemas.DATA),
        "environment": (publishing.create_environment, schemas.ENVIRONMENT),
    }[call.noun]


def update(call: Call) -> Json:
    """Change description, tags, stage or properties of a version."""
    import copy

    from entrepot.client import overrides

    plural = PLURALS[call.noun]
    document = _chosen(call)
    entity = copy.deepcopy(asset_views.view(plural, document))
    overrides.apply(entity, call.options.ordered, keeps_strings=call.flag("force_string"))
    if stage := call.text("stage"):
        entity["stage"] = stage
    return asset_views.view(plural, assets.update(call.session, call.target(), plural, document, entity))


def share(call: Call) -> Json:
    """Copy a version of a workspace to a registry, with all that it needs."""
    plural = PLURALS[call.noun]
    try:
        shared = assets.share(
            call.session,
            call.workspace(),
            plural,
            str(call.text("name")),
            version=str(call.text("version")),
            registry=str(call.text("registry_name")),
            new_name=call.text("share_with_name"),
            new_version=call.text("share_with_version"),
        )
    except ServiceFailure as failure:
        failure.hint = failure.hint.replace("--set version=", "--share-with-version ")  # as a file's would be changed
        raise
    return asset_views.view(plural, shared)


def download(call: Call) -> None:
    """Write the files of a version below `<download path>/<name>`."""
    from pathlib import Path

    target = Path(call.text("download_path") or ".") / str(call.text("name"))
    if target.is_file():
        raise Failure(f"{target} is a file, and the download needs a folder of that name.")
    if call.noun in ("component", "environment"):
        return _download_definition(call, target)
    _fetch(call, *_signed(call, call.target().version(PLURALS[call.noun], *_name_and_version(call))), target)
    return call.console.note(f"Downloaded {':'.join(_name_and_version(call))} to {target}")


def _download_definition(call: Call, target: Path) -> None:
    """Write the YAML of a version with the folders that it names, so that it can be created again."""
    from entrepot.client import definitions

    plural, own = PLURALS[call.noun], call.target().version(PLURALS[call.noun], *_name_and_version(call))
    definition = definitions.OF[plural](call.session.get(own))
    for folder in definition.folders:
        identity = folder.identity
        signed, prefix = _signed(call, definitions.address_of(call.session, identity) if identity else own)
        _fetch(call, signed, prefix, target / folder.named(prefix))
    file = definition.write(target)
    call.console.note(f"Downloaded {':'.join(_name_and_version(call))} to {target}; create it again with --file {file}")


def _signed(call: Call, version: str) -> tuple[str, str]:
    """Return (address to read from, path of the files there) of the bytes of a version at an address."""
    return assets.transfer_of(call.session.post(f"{version}/datarefs"))


def _fetch(call: Call, signed: str, prefix: str, target: Path) -> None:
    from entrepot.cli.commands.results import watched
    from entrepot.client.transfers.downloads import download as fetch

    with watched(call, f"Downloading {call.text('name')}") as progress:
        fetch(signed, prefix, target, progress=progress)


def _name_and_version(call: Call) -> tuple[str, str]:
    return str(call.text("name")), str(call.text("version"))


def _chosen(call: Call) -> Json:
    return assets.get(
        call.session,
        call.target(),
        PLURALS[call.noun],
        str(call.text("name")),
        version=call.text("version"),
        label=call.text("label"),
    )
