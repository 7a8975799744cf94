"""Routes of all asset kinds: one set of handlers, bound to a kind and mounted in each scope that has it."""

from collections.abc import Callable, Iterator
from functools import partial

from entrepot.core.ids import DEFAULT_COMPONENT_VERSION, AssetPointer, AssetRef, RegistryScope
from entrepot.core.nouns import (
    CODE,
    DEPLOYMENT_TEMPLATE,
    KINDS,
    REGISTRY_KINDS,
    Kind,
    registry_action,
    workspace_action,
)
from entrepot.domain.assets import catalog, sharing, uploads
from entrepot.domain.assets.publishing.publication import Order
from entrepot.server.calls import Answer, Call, Gathered, Handler, reply_document, reply_empty, reply_raw
from entrepot.server.places import PREFIXES, REGISTRY, WORKSPACE, scope_of
from entrepot.server.routing import Route
from entrepot.server.transfers import reading_answer, writing_answer
from entrepot.store.documents import Document
from entrepot.wire.arm import list_query, next_url, page_body
from entrepot.wire.assets import asset_named_in, optional_text, text_field

_KindHandler = Callable[[Kind, Call], Answer]


def _name(call: Call) -> str:
    """Return the asset's name; azure-ai-ml 1.35 leaves the prefix of `azureml:<name>@<label>` on it."""
    return call.params["name"].removeprefix("azureml:")


def _ref(kind: Kind, call: Call) -> AssetRef:
    return AssetRef(scope_of(call), kind, _name(call), call.params["version"])


def _get_version(kind: Kind, call: Call) -> Answer:
    ref = _ref(kind, call)
    if ref.version == DEFAULT_COMPONENT_VERSION:
        return reply_document(catalog.resolve(call.hub, call.principal, AssetPointer(kind, ref.name, scope=ref.scope)))
    return reply_document(catalog.get(call.hub, call.principal, ref))


def _get_label(kind: Kind, call: Call) -> Answer:
    pointer = AssetPointer(kind, _name(call), label=call.params["label"], scope=scope_of(call))
    return reply_document(catalog.resolve(call.hub, call.principal, pointer))


def _prepare_version(kind: Kind, call: Call) -> Order:
    return catalog.prepare(call.hub, call.principal, _ref(kind, call), call.properties, request_id=call.request_id)


def _answer_created(created: tuple[Document, bool]) -> Answer:
    document, is_created = created
    return reply_document(document, status=201 if is_created else 200)


def _patch_version(kind: Kind, call: Call) -> Answer:
    document = catalog.update(call.hub, call.principal, _ref(kind, call), call.properties, request_id=call.request_id)
    return reply_document(document)


def _delete_version(kind: Kind, call: Call) -> Answer:
    catalog.delete(call.hub, call.principal, _ref(kind, call), request_id=call.request_id)
    return reply_empty(200)


def _list_versions(kind: Kind, call: Call) -> Answer:
    asked = list_query(call.query)
    page = catalog.versions(
        call.hub, call.principal, scope_of(call), kind, _name(call),
        view=asked.view, order=asked.order, after=asked.after, limit=asked.limit, tags=dict(asked.tags),
        stage=call.query.get("stage"),
    )  # fmt: skip
    return reply_raw(page_body(page, next_url(call.origins.api, call.path, call.query, page.next)))


def _list_code_versions(kind: Kind, call: Call) -> Answer:
    digest = call.query.get("hash")
    if not digest:
        return _list_versions(kind, call)
    # azure-ai-ml 1.35 asks under a random name: the search is over all code of the scope
    return reply_raw(page_body(catalog.codes_with_hash(call.hub, call.principal, scope_of(call), digest)))


def _list_containers(kind: Kind, call: Call) -> Answer:
    asked = list_query(call.query)
    page = catalog.containers(
        call.hub, call.principal, scope_of(call), kind,
        view=asked.view, after=asked.after, limit=asked.limit, tags=dict(asked.tags),
    )  # fmt: skip
    return reply_raw(page_body(page, next_url(call.origins.api, call.path, call.query, page.next)))


def _get_container(kind: Kind, call: Call) -> Answer:
    return reply_document(catalog.get_container(call.hub, call.principal, scope_of(call), kind, _name(call)))


def _put_container(kind: Kind, call: Call) -> Answer:
    document = catalog.update_container(
        call.hub, call.principal, scope_of(call), kind, _name(call), call.properties,
        request_id=call.request_id,
    )  # fmt: skip
    return reply_document(document)


def _start_upload(kind: Kind, call: Call) -> Answer:
    return writing_answer(call, uploads.start(call.hub, call.principal, _ref(kind, call), request_id=call.request_id))


def _start_reading(kind: Kind, call: Call) -> Answer:
    return reading_answer(call, uploads.reading(call.hub, call.principal, _ref(kind, call)))


def _share(kind: Kind, call: Call) -> Answer:
    body, source = call.object, _ref(kind, call)
    destination = AssetRef(
        RegistryScope(text_field(body, "registryName")),
        kind,
        optional_text(body, "destinationName") or source.name,
        optional_text(body, "destinationVersion") or source.version,
    )
    return reply_document(
        sharing.share(call.hub, call.principal, source, destination, request_id=call.request_id), status=201
    )


def _temporary_reference(call: Call) -> Answer:
    pointer = asset_named_in(call.object)
    ref = AssetRef(scope_of(call), pointer.kind, _name(call), call.params["version"])
    return writing_answer(call, uploads.start(call.hub, call.principal, ref, request_id=call.request_id))


def _data_reference(call: Call) -> Answer:
    pointer = asset_named_in(call.object)
    ref = AssetRef(scope_of(call), pointer.kind, _name(call), call.params["version"])
    return reading_answer(call, uploads.reading(call.hub, call.principal, ref))


def _import(call: Call) -> Answer:
    sharing.import_(call.hub, call.principal, scope_of(call), call.object, request_id=call.request_id)
    # A body in the last answer would make azure-ai-ml 1.35 go on to an upload: 202, then 204.
    location = call.url(f"{call.path.rstrip('/')}/done").encode()
    return reply_empty(202, headers=((b"location", location), (b"retry-after", b"1")))


def _import_done(_call: Call) -> Answer:
    return reply_empty(204)


def _of_kind(kind: Kind, scope: str) -> Iterator[Route]:
    is_registry = scope.endswith("{registry}")
    collection = f"{scope}/{kind.plural}"
    container = collection + "/{name}"
    version = container + "/versions/{version}"

    def route(method: str, template: str, verb: str, handler: _KindHandler, *, inline: bool = False) -> Route:
        action = registry_action(verb) if is_registry else workspace_action(kind, verb)
        bound: Handler = partial(handler, kind)
        return Route(method, template, action, bound, inline=inline)

    list_versions = _list_code_versions if kind is CODE else _list_versions
    yield route("GET", version, "read", _get_version, inline=True)
    write = registry_action("write") if is_registry else workspace_action(kind, "write")
    yield Route("PUT", version, write, Gathered(partial(_prepare_version, kind), catalog.create_all, _answer_created))
    yield route("PATCH", version, "write", _patch_version)
    yield route("DELETE", version, "delete", _delete_version)
    yield route("GET", container + "/versions", "read", list_versions, inline=True)
    yield route("GET", container + "/labels/{label}", "read", _get_label, inline=True)
    yield route("GET", collection, "read", _list_containers, inline=True)
    yield route("GET", container, "read", _get_container, inline=True)
    yield route("PUT", container, "write", _put_container)
    yield route("PATCH", container, "write", _put_container)
    if kind is DEPLOYMENT_TEMPLATE:  # it has no bytes to send, and no workspace to come from
        return
    yield route("POST", version + "/startPendingUpload", "write", _start_upload)
    yield route("POST", version + "/datarefs", "read", _start_reading)
    yield route("POST", version + "/share", "read", _share)


def _routes() -> Iterator[Route]:
    for prefix in PREFIXES:
        for kind in KINDS:
            yield from _of_kind(kind, prefix + WORKSPACE)
        for kind in REGISTRY_KINDS:
            yield from _of_kind(kind, prefix + REGISTRY)
        registry = prefix + REGISTRY
        references = "/{name}/versions/{version}"
        yield Route("PUT", registry + "/tempdatarefs" + references, registry_action("write"), _temporary_reference)
        yield Route("POST", registry + "/datarefs" + references, registry_action("read"), _data_reference)
        yield Route("POST", registry + "/import", registry_action("write"), _import)
        yield Route(
            "GET", registry + "/import/done", None, _import_done, inline=True,
            reason="tells nothing: imports are over when they are answered",
        )  # fmt: skip


ROUTES = tuple(_routes())
