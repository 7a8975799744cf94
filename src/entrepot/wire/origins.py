"""The three origins that addresses inside documents start with, and their exchange for real ones. Pure.

Documents hold neutral origins, so that they survive a change of port or host. On the way out the real origins go in,
on the way in every spelling of them comes out, the Azure SDK's `https://account.blob.x@host:port` included.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

API = "https://api.entrepot.invalid"
BLOB = "https://blob.entrepot.invalid"
SCORE = "https://score.entrepot.invalid"
_MARK = b".entrepot.invalid"
_NEUTRAL_SCORE = SCORE.encode()


@dataclass(frozen=True)
class Origins:
    """The real origins that one listener shows. `api_hosts`, `blob_hosts`, `score_hosts`: every `host:port` of ours."""

    api: str
    blob: str
    api_hosts: tuple[str, ...] = ()
    blob_hosts: tuple[str, ...] = ()
    score: str = SCORE
    score_hosts: tuple[str, ...] = ()

    def outward(self, body: bytes) -> bytes:
        """Put the real origins into a body that leaves."""
        if _MARK not in body:
            return body
        shown = body.replace(self._neutral_blob, self._real_blob).replace(self._neutral_api, self._real_api)
        return shown.replace(_NEUTRAL_SCORE, self.score.encode())

    def inward(self, body: bytes) -> bytes:
        """Take the real origins out of a body that arrived."""
        if b"://" not in body:
            return body
        return self._pattern.sub(self._neutralise, body)

    def _neutralise(self, match: re.Match[bytes]) -> bytes:
        if match["score"]:
            return _NEUTRAL_SCORE
        return self._neutral_blob if match["blob"] else self._neutral_api

    @cached_property
    def _neutral_blob(self) -> bytes:
        return BLOB.encode()

    @cached_property
    def _neutral_api(self) -> bytes:
        return API.encode()

    @cached_property
    def _real_blob(self) -> bytes:
        return self.blob.encode()

    @cached_property
    def _real_api(self) -> bytes:
        return self.api.encode()

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        blob, api, score = (_alternatives(hosts) for hosts in (self.blob_hosts, self.api_hosts, self.score_hosts))
        user = rb"(?:[^/@\"'\\\s?#]{1,256}@)?"  # the account name that the SDK puts before our host
        return re.compile(
            rb"https?://"
            + user
            + rb"(?:(?P<blob>"
            + blob
            + rb")|(?P<score>"
            + score
            + rb")|(?:"
            + api
            + rb"))(?![\w.:@-])"
        )


def _alternatives(hosts: Iterable[str]) -> bytes:
    return b"|".join(re.escape(host.encode()) for host in hosts) or rb"(?!)"
