"""The subset of the Azure Blob REST service that the genuine clients use, on `Containers`."""

import base64
import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from uuid import uuid4

from entrepot.core.digests import Digest
from entrepot.core.errors import BlobMissing, InvalidRequest, NotFound
from entrepot.core.manifests import check_path
from entrepot.server.dataplane import conditions, listings
from entrepot.server.dataplane.arrivals import Room, arriving, check_md5, md5_of
from entrepot.server.dataplane.copies import CopySource, copy_source, opened
from entrepot.server.dataplane.messages import Answer, Refusal, Request, Slice
from entrepot.server.dataplane.sas import Grant
from entrepot.store import paths, snapshots, spool
from entrepot.store.blobs import BlobStore
from entrepot.store.containers import BlobItem, Containers

LIST_LIMIT = 5000
_BLOCK_LIST_BYTES = 16 << 20
_TAGS_BYTES = 64 << 10
_META = "x-ms-meta-"
_HEADERS = {f"x-ms-blob-content-{name.lower()}": f"Content-{name}" for name in ("Encoding", "Language", "Disposition")}
_HEADERS |= {"x-ms-blob-cache-control": "Cache-Control"}
_META_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True)
class Context:
    """What the operations need besides the request: `grant_for` authenticates a copy's source."""

    containers: Containers
    room: Room
    grant: Grant
    store: BlobStore
    grant_for: Callable[[str, Mapping[str, str]], Grant]


def head_container(request: Request, context: Context) -> Answer:
    """Get Container Properties."""
    return Answer(200, {"ETag": '"0x1"', "Last-Modified": formatdate(0, usegmt=True), "x-ms-lease-state": "available"})


def account_information(request: Request, context: Context) -> Answer:
    """Get Account Information."""
    return Answer(
        200, {"x-ms-sku-name": "Standard_LRS", "x-ms-account-kind": "StorageV2", "x-ms-is-hns-enabled": "false"}
    )


def list_blobs(request: Request, context: Context) -> Answer:
    """List Blobs: prefix, delimiter, marker, maxresults, startFrom, include=metadata,tags,copy."""
    query = request.query
    text = query.get("maxresults") or str(LIST_LIMIT)
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise Refusal(400, "OutOfRangeQueryParameterValue", f"maxresults must be a positive number: {text!r}.")
    limit = min(int(text), LIST_LIMIT)
    prefix, delimiter, marker = (query.get(name, "") for name in ("prefix", "delimiter", "marker"))
    listing = context.containers.list(
        request.container, prefix, delimiter, marker or None, limit, start=query.get("startFrom", "")
    )
    include = set(query.get("include", "").lower().split(","))
    body = listings.listing_xml(
        request.container,
        listing,
        origin=f"http://{request.headers.get('host', '')}",
        prefix=prefix,
        delimiter=delimiter,
        marker=marker,
        limit=limit,
        include=include,
    )
    return Answer(200, {"Content-Type": "application/xml"}, body)


def get_blob(request: Request, context: Context) -> Answer:
    """Get Blob, Get Blob Properties (HEAD) and Get Blob Metadata."""
    item = context.containers.stat(request.container, request.name)
    if item is None:
        raise NotFound(f"There is no blob {request.name!r} in container {request.container!r}.")
    headers = _properties(item)
    if not conditions.check_read(request.headers, item):
        return Answer(304, headers)
    if request.query.get("comp") == "metadata":
        return Answer(200, headers)
    headers |= {"Content-Type": item.content_type, "Accept-Ranges": "bytes", **_part(item, "headers")}
    if item.md5:
        headers["Content-MD5"] = item.md5
    if request.method == "HEAD":
        return Answer(200, headers, length=item.size_bytes)
    return slice_of(context.store, item.digest, item.size_bytes, request.headers, headers)


def slice_of(
    store: BlobStore, digest: Digest, size_bytes: int, asked: Mapping[str, str], headers: dict[str, str]
) -> Answer:
    """Return content, or the range of it that the headers ask for."""
    wanted = conditions.wanted_range(asked, size_bytes)
    start, length = wanted or (0, size_bytes)
    name = paths.content(digest)
    is_local = store.is_local
    file = store.open(name) if is_local else store.open(name, start=start, length=length)
    if wanted:
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{size_bytes}"
        if "Content-MD5" in headers:  # of the whole blob, which a range does not have
            headers["x-ms-blob-content-md5"] = headers.pop("Content-MD5")
    return Answer(206 if wanted else 200, headers, Slice(file, start, length, is_local))


def put_blob(request: Request, context: Context) -> Answer:
    """Put Blob, Copy Blob and Put Blob From URL."""
    check_path(request.name)
    only_if_absent = _check_target(request, context)
    if "x-ms-copy-source" in request.headers:
        return _copy_blob(request, context, only_if_absent=only_if_absent)
    kind = request.headers.get("x-ms-blob-type", "BlockBlob")
    if kind != "BlockBlob":
        raise Refusal(501, "NotImplemented", f"Blobs of type {kind} are not kept here: use BlockBlob.")
    sent_md5 = request.headers.get("content-md5")
    about: dict[str, Any] = {
        "md5": request.headers.get("x-ms-blob-content-md5") or sent_md5, "content_type": _content_type(request),
        "metadata": _metadata(request), "only_if_absent": only_if_absent, "stated": _stated(request),
    }  # fmt: skip
    put = _put_small if request.body.length is not None and request.body.length <= spool.LIMIT_BYTES else _put_large
    item = put(request, context, sent_md5, about)
    return Answer(201, _written(item) | ({"Content-MD5": sent_md5} if sent_md5 else {}))


def _put_small(request: Request, context: Context, sent_md5: str | None, about: dict[str, Any]) -> BlobItem:
    with context.room.claim(context.store, request.body.length):
        data = request.read_all(spool.LIMIT_BYTES)
        check_md5(sent_md5, md5_of(data) if sent_md5 else None)
        return context.containers.put_bytes(request.container, request.name, data, **about)


def _put_large(request: Request, context: Context, sent_md5: str | None, about: dict[str, Any]) -> BlobItem:
    with arriving(request.body, context.store, context.room, md5=sent_md5 is not None) as arrived:
        check_md5(sent_md5, arrived.md5)
        snapshots.keep_file(context.store, arrived.digest, arrived.file)
    return context.containers.put(request.container, request.name, arrived.digest, arrived.size_bytes, **about)


def put_block(request: Request, context: Context) -> Answer:
    """Put Block and Put Block From URL: parallel, in any order."""
    block_id = request.query.get("blockid", "")
    try:
        if not block_id or len(base64.b64decode(block_id, validate=True)) > 64:
            raise ValueError(block_id)
    except ValueError as error:
        raise InvalidRequest("blockid must be base64 of at most 64 bytes") from error
    sent_md5 = request.headers.get("content-md5")
    with contextlib.ExitStack() as stack:
        is_copy = "x-ms-copy-source" in request.headers
        body = stack.enter_context(opened(_source(request, context), request.headers)) if is_copy else request.body
        arrived = stack.enter_context(
            arriving(body, context.store, context.room, sha256=False, md5=sent_md5 is not None)
        )
        check_md5(sent_md5, arrived.md5)
        context.containers.stage_block(request.container, request.name, block_id, arrived.file)
    return Answer(201, {"Content-MD5": sent_md5} if sent_md5 else {})


def put_block_list(request: Request, context: Context) -> Answer:
    """Put Block List: makes the blob."""
    only_if_absent = _check_target(request, context)
    wanted = listings.read_block_list(request.read_all(_BLOCK_LIST_BYTES))
    try:
        item = context.containers.commit_blocks(
            request.container,
            request.name,
            wanted,
            md5=request.headers.get("x-ms-blob-content-md5"),
            content_type=_content_type(request),
            metadata=_metadata(request),
            only_if_absent=only_if_absent,
            stated=_stated(request),
        )
    except BlobMissing as error:
        raise Refusal(400, "InvalidBlockList", error.message, closes=False) from error
    return Answer(201, _written(item))


def get_block_list(request: Request, context: Context) -> Answer:
    """Get Block List: those of which the blob was made, those that wait, or both; a client resumes by it."""
    kind = request.query.get("blocklisttype", "committed").lower()
    if kind not in ("committed", "uncommitted", "all"):
        raise Refusal(
            400, "InvalidQueryParameterValue", f"blocklisttype is {kind!r}: ask for committed, uncommitted, all."
        )
    committed, waiting = context.containers.blocks(request.container, request.name)
    item = context.containers.stat(request.container, request.name)
    if item is None and not waiting:
        raise NotFound(f"There is no blob {request.name!r} in container {request.container!r}.")
    body = listings.block_list_xml(committed if kind != "uncommitted" else [], waiting if kind != "committed" else [])
    headers = {"Content-Type": "application/xml"}
    if item is not None:
        headers |= _written(item) | {"x-ms-blob-content-length": str(item.size_bytes)}
    return Answer(200, headers, body)


def put_properties(request: Request, context: Context) -> Answer:
    """Set Blob Properties: the type and the MD5 if given, all others as given now."""
    _check_target(request, context)
    item = context.containers.restate(
        request.container, request.name, content_type=request.headers.get("x-ms-blob-content-type"),
        md5=request.headers.get("x-ms-blob-content-md5"), stated={"headers": _stated(request).get("headers", {})},
    )  # fmt: skip
    return Answer(200, _written(item))


def get_tags(request: Request, context: Context) -> Answer:
    """Get Blob Tags."""
    item = context.containers.stat(request.container, request.name)
    if item is None:
        raise NotFound(f"There is no blob {request.name!r} in container {request.container!r}.")
    return Answer(200, {"Content-Type": "application/xml"}, listings.tags_xml(_part(item, "tags")).encode())


def put_tags(request: Request, context: Context) -> Answer:
    """Set Blob Tags: all of them."""
    _check_target(request, context)
    stated = {"tags": listings.tags_of_xml(request.read_all(_TAGS_BYTES))}
    context.containers.restate(request.container, request.name, stated=stated)
    return Answer(204)


def create_container(request: Request, context: Context) -> Answer:
    """Create Container: there is one already, or the address would have no signature."""
    raise Refusal(409, "ContainerAlreadyExists", f"There is a container {request.container!r} already.", closes=False)


def put_metadata(request: Request, context: Context) -> Answer:
    """Set Blob Metadata."""
    _check_target(request, context)
    item = context.containers.restate(request.container, request.name, metadata=_metadata(request))
    return Answer(200, _written(item))


def delete_blob(request: Request, context: Context) -> Answer:
    """Delete Blob."""
    conditions.check_write(request.headers, context.containers.stat(request.container, request.name))
    context.containers.delete(request.container, request.name)
    return Answer(202, {"x-ms-delete-type-permanent": "true"})


def _copy_blob(request: Request, context: Context, *, only_if_absent: bool) -> Answer:
    source = _source(request, context)
    if source.store is not context.store:
        context.room.check(context.store, source.item.size_bytes)
        context.store.copy_from(source.store, paths.content(source.item.digest))
    size, stated = source.item.size_bytes, _stated(request)
    told = {"x-ms-copy-id": str(uuid4()), "x-ms-copy-status": "success"}
    about = told | {
        "x-ms-copy-source": request.headers["x-ms-copy-source"].partition("?")[0],  # without its signature
        "x-ms-copy-progress": f"{size}/{size}", "x-ms-copy-completion-time": formatdate(usegmt=True),
    }  # fmt: skip
    copied = context.containers.put(
        request.container,
        request.name,
        source.item.digest,
        size,
        md5=source.item.md5,
        content_type=source.item.content_type,
        metadata=_metadata(request) or source.item.metadata,
        only_if_absent=only_if_absent,
        stated={"headers": _part(source.item, "headers"), **stated, "copy": about},
    )
    return Answer(201 if "x-ms-blob-type" in request.headers else 202, _written(copied) | told)


def _source(request: Request, context: Context) -> CopySource:
    return copy_source(request, context.containers, context.grant, context.grant_for)


def _check_target(request: Request, context: Context) -> bool:
    """Hold the conditions of a write against what is there; say whether the name must still be free."""
    found = context.containers.stat(request.container, request.name)
    conditions.check_write(request.headers, found)
    only_if_absent = request.headers.get("if-none-match", "").strip() == "*" or "w" not in context.grant.permissions
    if found and only_if_absent and request.query.get("comp") not in ("metadata", "properties", "tags"):
        raise Refusal(409, "BlobAlreadyExists", f"There is a blob {request.name!r} already.", closes=False)
    return only_if_absent


def _metadata(request: Request) -> dict[str, str]:
    found = {name[len(_META) :]: value for name, value in request.headers.items() if name.startswith(_META)}
    for name in found:
        if not _META_NAME.match(name):
            raise InvalidRequest(f"{name!r} is not a name for metadata: use letters, digits and '_'")
    return found


def _stated(request: Request) -> dict[str, Mapping[str, str]]:
    """Return the headers that a blob is to be answered with, and its tags, where there are some."""
    headers = {told: value for asked, told in _HEADERS.items() if (value := request.headers.get(asked))}
    found = {"headers": headers, "tags": listings.tags_of_header(request.headers.get("x-ms-tags", ""))}
    return {name: part for name, part in found.items() if part}


def _part(item: BlobItem, name: str) -> Mapping[str, str]:
    return (item.stated or {}).get(name, {})


def _content_type(request: Request) -> str | None:
    return request.headers.get("x-ms-blob-content-type") or request.headers.get("content-type")


def _properties(item: BlobItem) -> dict[str, str]:
    headers = _written(item) | {
        "x-ms-blob-type": "BlockBlob",
        "x-ms-creation-time": formatdate(item.modified, usegmt=True),
    }
    headers |= {"x-ms-lease-status": "unlocked", "x-ms-lease-state": "available", **_part(item, "copy")}
    if count := len(_part(item, "tags")):
        headers["x-ms-tag-count"] = str(count)
    return headers | {f"{_META}{name}": value for name, value in (item.metadata or {}).items()}


def _written(item: BlobItem) -> dict[str, str]:
    return {"ETag": item.etag, "Last-Modified": formatdate(item.modified, usegmt=True)}
