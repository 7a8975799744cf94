"""ARM resources described by a YAML file, by options, or both; and `update` of them."""

import copy
from collections.abc import Mapping
from typing import Any

from entrepot.cli.call import Call
from entrepot.client import files, overrides
from entrepot.client.failures import Failure
from entrepot.client.schemas.checks import Check, check

Json = Any

NOT_FIELDS = frozenset(
    {"file", "resource_group", "workspace_name", "no_wait", "set", "add", "remove", "force_string", "yes", "ordered",
     "output", "query", "subscription", "home", "debug", "verbose", "only_show_errors", "help", "tags",
     "acquire_policy_token", "change_reference", "update_dependent_resources", "enable_data_isolation",
     "provision_network_now", "populate_secrets",
     "allow_roleassignment_on_rg", "default_resource_group", "all_resources"}
)  # fmt: skip


def described(call: Call, schema: Check, *, defaults: Mapping[str, Json]) -> dict[str, Json]:
    """Return what the file says, under what the options say, checked. `defaults` fill what neither says."""
    path = call.file()
    document = files.load(path) if path else files.blank()
    if "contentVersion" in document.data and "resources" in document.data:
        raise Failure(
            f"{path} is an ARM template, and not the description of one {call.noun}.",
            hint=f"entrepot deployment group create --template-file {path}",
        )
    for name, value in vars(call.options).items():
        if name not in NOT_FIELDS and value is not None and value is not False:
            is_default = name == "location" and "location" in document.data and _is_configured(call)
            if not is_default:
                document.data[name] = files.SetText(value) if isinstance(value, str) else value
                document.forget((name,))
    if (tags := call.tags()) is not None:
        document.data["tags"] = {**(document.data.get("tags") or {}), **tags}
    overrides.lay_over(document, call.words("set"))
    for name, value in defaults.items():
        if document.data.get(name) is None and value is not None:
            document.data[name] = value
    data, warnings = check(document, schema)
    for warning in warnings:
        call.console.warn(warning)
    return data


def _is_configured(call: Call) -> bool:
    """Say whether the location is the configured default: a file's own goes before it."""
    return call.text("location") == call.configuration.default("location")


def changed(call: Call, view: Mapping[str, Json]) -> dict[str, Json]:
    """Return a resource's view with the changes of `update`: a file, options, --set, --add and --remove."""
    entity = copy.deepcopy(dict(view))
    if path := call.file():
        entity |= files.load(path).data
    for name in ("display_name", "description", "public_network_access", "read_access"):
        if call.has(name) and call.text(name):
            entity[name] = call.text(name)
    if (tags := call.tags()) is not None:
        entity["tags"] = {**(entity.get("tags") or {}), **tags}
    overrides.apply(entity, call.options.ordered, keeps_strings=call.flag("force_string"))
    return entity
