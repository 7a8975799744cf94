"""The files of a model version, as MLflow's artifact clients read them."""

from entrepot.core.errors import InvalidRequest
from entrepot.core.ids import AssetRef, Scope
from entrepot.core.manifests import is_safe_path
from entrepot.core.nouns import MODEL
from entrepot.domain.assets import uploads
from entrepot.domain.hub import Hub, Principal


def place(hub: Hub, principal: Principal, scope: Scope, path: str) -> tuple[str, str]:
    """Return the container and the blob name (or folder) of `<name>/<version>[/<file>]`. Raises NotFound.

    A model that is one file is a folder with that file, which is what MLflow's clients expect.
    """
    name, _, rest = path.strip("/").partition("/")
    version, _, file = rest.partition("/")
    if not version or not is_safe_path(path.strip("/")):
        raise InvalidRequest(f"Invalid path {path!r}: write <name>/<version>/<file>")
    found = uploads.reading(hub, principal, AssetRef(scope, MODEL, name, version))
    is_file = bool(found.prefix) and hub.containers.stat(found.container, found.prefix) is not None
    folder = found.prefix.rpartition("/")[0] if is_file else found.prefix
    return found.container, "/".join(part for part in (folder, file) if part)
