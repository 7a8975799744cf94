"""Uploading a file or folder: ask what is missing, send that, then the manifest, at which all of it appears at once.

Small files are hashed here and travel in packs. A big file whose size the server has never seen is new for certain:
it is sent without hashing it first, and the server's digest comes back. A broken upload goes on where it stopped, as
the server keeps every blob that arrived.
"""

from __future__ import annotations

import json
from pathlib import Path

from entrepot.client.failures import FileFailure, ServiceFailure
from entrepot.client.transfers.hashes import HashCache, check_unchanged, digest_of_file
from entrepot.client.transfers.ignore import LocalFile, local_files
from entrepot.client.transfers.transfer import BIG_BYTES, PACK_BYTES, Channel, in_pieces
from entrepot.core.digests import Digest
from entrepot.core.errors import InvalidRequest
from entrepot.core.manifests import FileEntry, Manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Progress = Callable[[int, int], None]

_ROUNDS = 3  # of sending what the server lacks: it may lose blobs to its clean-up in between


def upload(
    path: Path,
    sas_url: str,
    *,
    at: str,
    ignore: bool = True,
    progress: Progress | None = None,
    cache_folder: Path | None = None,
) -> dict[str, Any]:
    """Upload a file or folder so that it appears at the path `at` of a container.

    Returns {"digest": of the snapshot, "size": in bytes, "files": their number, "sent": bytes that were sent}.
    `progress` is told (bytes done, bytes in all). Raises FileFailure, ServiceFailure (also NoRoom's), NoServer.
    """
    files = local_files(path, ignore=ignore)
    if not files:
        raise FileFailure(f"{path} holds no files to upload.", hint="an ignore file at its root may leave out all")
    if path.is_file():  # a blob of that name, not a folder with the file in it
        at, _, name = at.strip("/").rpartition("/")
        files = [_renamed(files[0], name or files[0].path)]
    cache = HashCache(cache_folder)
    try:
        with Channel(sas_url) as channel:
            return _Upload(channel, cache, files, progress).run(at)
    except InvalidRequest as error:
        raise FileFailure(f"{path}: {error.message}") from error
    finally:
        cache.close()


class _Upload:
    """One upload on its way: the digests known so far, and the counts."""

    def __init__(self, channel: Channel, cache: HashCache, files: list[LocalFile], progress: Progress | None) -> None:
        self._channel = channel
        self._cache = cache
        self._files = files
        self._progress = progress
        self._total = sum(file.size_bytes for file in files)
        self._done = 0
        self._sent = 0
        self._digests: dict[str, Digest] = {}

    def run(self, at: str) -> dict[str, Any]:
        for file in self._files:
            if file.size_bytes < BIG_BYTES:
                self._digests[file.path] = digest_of_file(file, self._cache)
            elif found := self._cache.get(file):
                self._digests[file.path] = found
        if len(self._digests) < len(self._files):
            self._ask()
        for round_ in range(_ROUNDS + 1):
            answer = self._channel.ask("PUT", "snapshot", at, body=self._manifest().encode(), again=(409,))
            if "digest" in answer:
                self._tell(self._total - self._done)
                return {**answer, "sent": self._sent}
            if "missing" not in answer:
                error = answer.get("error") or {}
                raise ServiceFailure(error.get("message", "refused"), code=error.get("code", ""), status=409)
            if round_ == 0:
                self._begin(set(answer["missing"]), answer.get("room"))
            self._send_missing(set(answer["missing"]))
        raise ServiceFailure("The server lost blobs of the upload again and again.")

    def _ask(self) -> None:
        """Find the digests of the big files that are not known yet: those of a size that the server has are hashed,
        the others sent, for they are new.
        """
        unknown = [file for file in self._files if file.path not in self._digests]
        answer = self._have(sorted(set(self._digests.values())), sorted({file.size_bytes for file in unknown}))
        missing, known = set(answer["missing"]), set(answer["sizes"])
        needed = {digest: f.size_bytes for f in self._files if (digest := self._digests.get(f.path)) in missing}
        new = sum(file.size_bytes for file in unknown if file.size_bytes not in known)
        self._check_room(sum(needed.values()) + new, answer["room"])
        for file in unknown:
            if file.size_bytes in known:
                self._digests[file.path] = digest_of_file(file, self._cache)
            else:
                self._digests[file.path] = self._send_big(file, None)
                known.add(file.size_bytes)

    def _begin(self, missing: set[str], room: int | None) -> None:
        """Count what need not be sent as done. Raises ServiceFailure when there is no room for the rest."""
        needed = {self._digests[f.path]: f.size_bytes for f in self._files if self._digests[f.path] in missing}
        self._check_room(sum(needed.values()), room)
        self._tell(max(0, self._total - self._done - sum(needed.values())))

    def _check_room(self, needed: int, room: int | None) -> None:
        if room is not None and needed > room:
            message = f"There is no room for {needed} bytes: the server's disk can take {room} more "
            message += "beside what it keeps free (its setting reserve_bytes)."
            raise ServiceFailure(message, code="InsufficientStorage", status=507)

    def _have(self, digests: list[Digest], sizes: list[int]) -> dict[str, Any]:
        return self._channel.ask("POST", "have", body=json.dumps({"digests": digests, "sizes": sizes}).encode())

    def _send_missing(self, missing: set[str]) -> None:
        pack: list[tuple[Digest, LocalFile]] = []
        size = 0
        left = set(missing)
        for file in self._files:
            digest = self._digests[file.path]
            if digest not in left:
                continue
            left.discard(digest)
            if file.size_bytes >= BIG_BYTES:
                self._send_big(file, digest)
                continue
            pack.append((digest, file))
            size += file.size_bytes
            if size >= PACK_BYTES:
                self._send_pack(pack)
                pack, size = [], 0
        if pack:
            self._send_pack(pack)

    def _send_big(self, file: LocalFile, digest: Digest | None) -> Digest:
        headers = (f"x-entrepot-digest: {digest}",) if digest else ()

        def attempt() -> Digest:
            before = self._done
            try:
                self._channel.begin(
                    "PUT",
                    "blob",
                    headers=headers,
                    length=file.size_bytes,
                    pieces=[file.place],
                    progress=self._tell,
                )
                return Digest(json.loads(self._channel.read_rest())["digest"])
            except (OSError, EOFError):
                self._done = before
                raise

        found = self._channel.retried(attempt)
        check_unchanged(file)
        self._cache.put(file, found)
        self._sent += file.size_bytes
        return found

    def _send_pack(self, pack: list[tuple[Digest, LocalFile]]) -> None:
        index = json.dumps([[digest, file.size_bytes] for digest, file in pack], separators=(",", ":")).encode()
        head = len(index).to_bytes(4, "big") + index
        size = sum(file.size_bytes for _, file in pack)

        def pieces() -> Iterator[bytes]:
            yield head
            for _, file in pack:
                data = file.place.read_bytes()
                if len(data) != file.size_bytes:
                    check_unchanged(file)
                yield data

        def attempt() -> None:
            self._channel.begin("PUT", "pack", length=len(head) + size, pieces=in_pieces(pieces()))
            self._channel.read_rest()

        self._channel.retried(attempt)
        self._sent += size
        self._tell(size)

    def _manifest(self) -> Manifest:
        entries = [
            FileEntry(file.path, self._digests[file.path], file.size_bytes, file.is_executable) for file in self._files
        ]
        return Manifest(tuple(entries))

    def _tell(self, count: int) -> None:
        self._done += count
        if self._progress:
            self._progress(min(self._done, self._total), self._total)


def _renamed(file: LocalFile, name: str) -> LocalFile:
    from dataclasses import replace

    return replace(file, path=name)
