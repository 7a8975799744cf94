"""YAML that users sent, read within bounds: conda files, and the files of MLflow models."""

from typing import Any

import yaml

from entrepot.core import yaml_bounds
from entrepot.core.errors import InvalidRequest

Json = Any

MOST_CHARACTERS = 4 << 20
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml takes a tenth of the time


def read(text: str, what: str) -> Json:
    """Return the values of a YAML text. Raises InvalidRequest that begins with `what`."""
    if len(text) > MOST_CHARACTERS:
        raise InvalidRequest(f"{what} has {len(text):,} characters: at most {MOST_CHARACTERS:,} are read")
    try:
        yaml_bounds.check_depth(yaml.parse(text, Loader=_LOADER))
        loader = _LOADER(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            yaml_bounds.check_nodes(node)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, *yaml_bounds.BROKEN) as error:
        raise InvalidRequest(f"{what} is not YAML that can be read: {error}") from error
