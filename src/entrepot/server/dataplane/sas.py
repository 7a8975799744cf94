"""Shared access signatures: a query string that lets its bearer into one container, for a while.

Written as Azure writes them, so that every Azure client carries them along; signed with a key of this home.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from entrepot.core.clock import from_iso, to_iso
from entrepot.core.errors import Unauthenticated
from entrepot.core.ids import Region

PERMISSIONS = "racwdl"
_SIGNED = ("sv", "sr", "sp", "se", "rg", "saoid", "scid")
_VERSION = "2024-11-04"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a caller may do in a container: letters of PERMISSIONS; `region` where its bytes should come from.

    `holder`: the id of the principal who may; `request`: the request in which a signature was given to them.
    """

    permissions: frozenset[str]
    region: Region | None = None
    holder: str = ""
    request: str = ""


@dataclass(frozen=True, slots=True)
class SasSigner:
    """Signs and verifies. All servers of one home share the key."""

    key: bytes

    def sign(
        self,
        container: str,
        permissions: str,
        region: Region | None,
        expires_epoch: float,
        *,
        holder: str = "",
        request: str = "",
    ) -> str:
        """Return the query string that grants permissions (letters of `racwdl`) until the expiry.

        `holder` and `request` tell to whom and when it was given, in the fields that Azure has for that.
        """
        ordered = "".join(letter for letter in PERMISSIONS if letter in permissions)
        if len(ordered) != len(set(permissions)):
            raise ValueError(f"permissions are letters of {PERMISSIONS}: got {permissions!r}")
        expiry = to_iso(int(expires_epoch)).partition(".")[0] + "Z"
        fields = {"sv": _VERSION, "sr": "c", "sp": ordered, "se": expiry}
        optional = {"rg": region, "saoid": holder, "scid": request}
        fields |= {name: value for name, value in optional.items() if value}
        return urlencode(fields | {"sig": self._signature(container, fields)})

    def verify(self, container: str, query: str | Mapping[str, str], now: float) -> frozenset[str]:
        """Return the permissions that a query string grants in the container. Raises Unauthenticated."""
        return self.grant(container, query, now).permissions

    def grant(self, container: str, query: str | Mapping[str, str], now: float) -> Grant:
        """Return all that a query string grants in the container. Raises Unauthenticated."""
        given = dict(parse_qsl(query.removeprefix("?"))) if isinstance(query, str) else query
        fields = {name: given[name] for name in _SIGNED if name in given}
        signature = self._signature(container, fields)
        if not hmac.compare_digest(signature.encode(), given.get("sig", "").encode()):
            raise Unauthenticated(f"the signature (sig) is not one of this server for container {container!r}")
        expiry = fields.get("se", "")
        if now >= from_iso(expiry):
            raise Unauthenticated(f"the access to container {container!r} ended at {expiry}: ask for a new one")
        region = Region(fields["rg"]) if "rg" in fields else None
        return Grant(frozenset(fields.get("sp", "")), region, fields.get("saoid", ""), fields.get("scid", ""))

    def _signature(self, container: str, fields: Mapping[str, str]) -> str:
        lines = [container, *(f"{name}={fields[name]}" for name in sorted(fields))]
        mac = hmac.new(self.key, "\n".join(lines).encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(mac).decode().rstrip("=")
