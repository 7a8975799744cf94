"""Signed addresses: paths of this server that work without an Authorization header, for a while.

azure-ai-ml fetches log files without its credential, so the address has to carry the right to read them.
"""

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote

from entrepot.core.errors import Unauthenticated


class AddressSigner:
    """Signs and checks paths with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, path: str, *, expires: float) -> str:
        """Return the path, percent-encoded, with its expiry (epoch seconds) and signature as query."""
        moment = str(int(expires))
        return f"{quote(path)}?se={moment}&sig={self._signature(path, moment)}"

    def verify(self, path: str, query: Mapping[str, str], *, now: float) -> None:
        """Return if the query was made by `sign` for this path and has not expired. Raises Unauthenticated."""
        moment, given = query.get("se", ""), query.get("sig", "")
        if not hmac.compare_digest(self._signature(path, moment).encode(), given.encode()):
            raise Unauthenticated("The address is not signed by this server, or was changed")
        if not moment.isdigit() or int(moment) <= now:
            raise Unauthenticated("The signed address has expired: ask for it again")

    def _signature(self, path: str, moment: str) -> str:
        return hmac.new(self._key, f"{moment}\n{path}".encode(), hashlib.sha256).hexdigest()
