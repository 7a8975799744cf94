"""Our own transfer calls: ask what is missing, send blobs and packs, then the manifest; and the same way back."""

import json
from typing import Any

from entrepot.core.digests import Digest, is_digest
from entrepot.core.errors import BlobMissing, DigestMismatch, InvalidRequest, NotFound
from entrepot.core.manifests import check_path
from entrepot.server.dataplane import packs
from entrepot.server.dataplane.arrivals import arriving
from entrepot.server.dataplane.azure import Context, slice_of
from entrepot.server.dataplane.messages import Answer, Refusal, Request
from entrepot.store import paths, snapshots

_JSON_LIMIT = 256 << 20
_JSON = {"Content-Type": "application/json"}


def have(request: Request, context: Context) -> Answer:
    """Tell which of the digests are missing, which of the sizes some big content has, and what room there is."""
    body = _json(request)
    digests = [Digest(text) for text in _texts(body, "digests") if _checked(text)]
    sizes = body.get("sizes") or []
    if not isinstance(sizes, list) or any(type(size) is not int or size < 0 for size in sizes):
        raise InvalidRequest('"sizes" must be a list of whole numbers')
    store = context.store
    missing = [digest for digest in digests if store.stat(paths.content(digest)) is None]
    known = [size for size in sizes if size >= paths.BIG_BYTES and store.stat(paths.size_mark(size))]
    return _answer(200, {"missing": missing, "sizes": known, "room": context.room.left(store)})


def put_blob(request: Request, context: Context) -> Answer:
    """Take one content, hashed as it arrives; its digest may be announced in x-entrepot-digest."""
    announced = request.headers.get("x-entrepot-digest")
    with arriving(request.body, context.store, context.room) as arrived:
        if announced not in (None, arrived.digest):
            raise DigestMismatch(f"the bytes that arrived have the digest {arrived.digest}, not {announced}")
        snapshots.keep_file(context.store, arrived.digest, arrived.file)
    context.store.sync()
    return _answer(201, {"digest": arrived.digest, "size": arrived.size_bytes})


def put_pack(request: Request, context: Context) -> Answer:
    """Take many small contents, each proved by its digest, with one flush."""
    with context.room.claim(context.store, request.body.length):
        count = packs.unpack(request.body, lambda data, digest: snapshots.keep(context.store, data, digest=digest))
    context.store.sync()
    return _answer(201, {"count": count})


def put_snapshot(request: Request, context: Context) -> Answer:
    """Take a manifest whose blobs are all here, and let it appear at the path; else 409 and what is missing."""
    path = request.name.strip("/")
    if path:
        check_path(path)
    if request.body.length == 0:  # Azure's Snapshot Blob
        raise Refusal(405, "UnsupportedHttpVerb", "Snapshots of blobs are not supported by this server.", closes=False)
    manifest = snapshots.Manifest.decode(request.read_all(_JSON_LIMIT))
    try:
        digest = snapshots.write(context.store, manifest)
    except BlobMissing as error:
        room = context.room.left(context.store)
        told = {"error": {"code": error.code, "message": error.message}, "room": room}
        return _answer(409, told | {"missing": error.details[0]["missing"]})
    context.containers.mount(request.container, path, digest)
    return _answer(201, {"digest": digest, "size": manifest.size_bytes, "files": len(manifest.files)})


def get_snapshot(request: Request, context: Context) -> Answer:
    """Return the manifest of the tree at a path."""
    manifest = context.containers.tree(request.container, request.name)
    return Answer(200, _JSON | {"x-entrepot-digest": manifest.digest}, manifest.encode())


def get_pack(request: Request, context: Context) -> Answer:
    """Return many small contents of the tree at the path, in the order in which they are asked for."""
    wanted = _texts(_json(request), "digests")
    sizes = context.containers.tree(request.container, request.name).sizes
    contents = []
    for text in wanted:
        digest = Digest(text)
        if digest not in sizes:
            raise NotFound(f"no file below {request.name or '/'!r} has the digest {text!r}")
        contents.append((digest, sizes[digest]))
    return Answer(200, {"Content-Type": "application/octet-stream"}, packs.pack(context.store, contents))


def get_blob(request: Request, context: Context) -> Answer:
    """Return one content of the tree at the path, or a range of it."""
    digest = Digest(request.query.get("digest", ""))
    sizes = context.containers.tree(request.container, request.name).sizes
    if digest not in sizes:
        raise NotFound(f"no file below {request.name or '/'!r} has the digest {digest!r}")
    headers = {"Content-Type": "application/octet-stream", "ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
    return slice_of(context.store, digest, sizes[digest], request.headers, headers)


def _json(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(request.read_all(_JSON_LIMIT))
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"the body must be JSON: {error}") from error
    if not isinstance(body, dict):
        raise InvalidRequest("the body must be a JSON object")
    return body


def _texts(body: dict[str, Any], name: str) -> list[str]:
    values = body.get(name) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InvalidRequest(f'"{name}" must be a list of texts')
    return values


def _checked(text: str) -> str:
    if not is_digest(text):
        raise InvalidRequest(f"{text!r} is not a SHA-256 digest in lower-case hex")
    return text


def _answer(status: int, body: dict[str, Any]) -> Answer:
    return Answer(status, _JSON, json.dumps(body).encode())
