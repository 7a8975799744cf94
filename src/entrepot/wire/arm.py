"""What all ARM families share on the wire: encoding, list queries, list pages, operations, subscriptions. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from entrepot.core.errors import InvalidRequest
from entrepot.store.documents import Order, Page, View

Json = Any

DEFAULT_PAGE = 100
LARGEST_PAGE = 1000
API_VERSIONS = ("2024-10-01", "2024-04-01", "2023-10-01", "2023-04-01", "2022-10-01-preview")
_PARTS: Mapping[str, type] = {
    "properties": dict, "tags": dict, "identity": dict, "sku": dict, "location": str, "kind": str,
}  # fmt: skip

_encoder = msgspec.json.Encoder()


def resource_body(body: dict[str, Json]) -> dict[str, Json]:
    """Return the body of a resource as it is. Raises InvalidRequest when a part is not what ARM has there, or null."""
    for name, wanted in _PARTS.items():
        value = body.get(name)
        if not isinstance(value, wanted | None):
            right = "a JSON object" if wanted is dict else "a text"
            raise InvalidRequest(f"{name!r} in the body must be {right}: got {type(value).__name__}", target=name)
    return body


def encode(value: Json) -> bytes:
    """Render a JSON value."""
    return _encoder.encode(value)


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What a list request asks for, in the store's words."""

    view: View = View.ACTIVE
    order: Order = Order.NEWEST
    after: str | None = None
    limit: int = DEFAULT_PAGE
    tags: tuple[tuple[str, str | None], ...] = ()


_VIEWS = {"": View.ACTIVE, "activeonly": View.ACTIVE, "archivedonly": View.ARCHIVED, "all": View.ALL}
_ORDERS = {
    "createdtime desc": Order.NEWEST, "createdat desc": Order.NEWEST, "createdtime": Order.OLDEST,
    "createdtime asc": Order.OLDEST, "createdat asc": Order.OLDEST, "createdat": Order.OLDEST,
    "name asc": Order.KEY, "name": Order.KEY,
}  # fmt: skip


def list_query(query: Mapping[str, str]) -> ListQuery:
    """Read `listViewType`, `$orderBy`, `$top`, `$skip` and `tags`. Raises InvalidRequest for words it does not know.

    azure-ai-ml 1.35 sends the Python enum's text (`ListViewType.ACTIVE_ONLY`) on registry lists.
    """
    if not query:
        return ListQuery()
    view_text = query.get("listViewType", "")
    view = _VIEWS.get(view_text.lower().removeprefix("listviewtype.").replace("_", ""))
    if view is None:
        raise InvalidRequest(
            f"listViewType={view_text!r} is not ActiveOnly, ArchivedOnly or All", target="listViewType"
        )
    order_text = query.get("$orderBy") or query.get("orderBy") or query.get("$orderby") or "createdtime desc"
    order = _ORDERS.get(" ".join(order_text.lower().split()))
    if order is None:
        raise InvalidRequest(
            f"$orderBy={order_text!r} is not 'createdtime desc' or 'createdtime asc'", target="$orderBy"
        )
    return ListQuery(view, order, query.get("$skip") or query.get("$skipToken") or None, _limit(query), _tags(query))


def _limit(query: Mapping[str, str]) -> int:
    text = query.get("$top") or query.get("count") or ""
    if not text:
        return DEFAULT_PAGE
    if not text.isdigit() or int(text) < 1:
        raise InvalidRequest(f"$top={text!r} is not a number from 1 to {LARGEST_PAGE}", target="$top")
    return min(int(text), LARGEST_PAGE)


def _tags(query: Mapping[str, str]) -> tuple[tuple[str, str | None], ...]:
    pairs = [part for part in query.get("tags", "").split(",") if part.strip()]
    split = [part.partition("=") for part in pairs]
    return tuple((name.strip(), value if equals else None) for name, equals, value in split)


def page_body(page: Page, next_url: str | None = None) -> bytes:
    """Join a page of stored documents into a list answer, without decoding any."""
    return join_raw([document.raw for document in page.documents], next_url)


def join_raw(bodies: Iterable[bytes], next_url: str | None = None) -> bytes:
    """Join JSON texts into a list answer; `nextLink` is left out on the last page."""
    tail = b"]}" if next_url is None else b'],"nextLink":' + encode(next_url) + b"}"
    return b'{"value":[' + b",".join(bodies) + tail


def next_url(base: str, path: str, query: Mapping[str, str], cursor: str | None) -> str | None:
    """Return the absolute address of the page after this one, None when there is none."""
    if cursor is None:
        return None
    kept = {name: value for name, value in query.items() if name not in ("$skip", "$skipToken")}
    return f"{base}{quote(path)}?{urlencode({**kept, '$skip': cursor}, safe='$')}"


def subscription(identifier: str, tenant: str) -> dict[str, Json]:
    """Return the one subscription of a self-hosted server."""
    return {
        "id": f"/subscriptions/{identifier}",
        "subscriptionId": identifier,
        "tenantId": tenant,
        "displayName": "Entrepot",
        "state": "Enabled",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionPolicies": {"quotaId": "SelfHosted", "spendingLimit": "Off"},
    }


def tenant(identifier: str) -> dict[str, Json]:
    """Return the one tenant of a self-hosted server."""
    return {
        "id": f"/tenants/{identifier}",
        "tenantId": identifier,
        "displayName": "Entrepot",
        "defaultDomain": "entrepot.localhost",
        "tenantCategory": "Home",
    }


def location(subscription_id: str, region: str) -> dict[str, Json]:
    """Return a configured region as ARM's list of locations shows it."""
    return {
        "id": f"/subscriptions/{subscription_id}/locations/{region}",
        "name": region,
        "type": "Region",
        "displayName": region,
        "regionalDisplayName": region,
        "metadata": {"regionType": "Physical", "regionCategory": "Recommended"},
    }


def resource_types(templates: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return {namespace: its types} of path templates: `.../providers/A.B/c/{c}/d/{d}` is of the type c/d of A.B."""
    found: dict[str, dict[str, None]] = {}
    for template in templates:
        namespace, *segments = template.rpartition("/providers/")[2].split("/")
        kinds, names = segments[::2], segments[1::2]
        is_plain = len(kinds) == len(names) and all(name.startswith("{") and ":" not in name for name in names)
        if "/providers/" in template and is_plain and not any(kind.startswith("{") for kind in kinds):
            found.setdefault(namespace, {})["/".join(kinds)] = None
    return {namespace: tuple(sorted(types)) for namespace, types in found.items()}


def provider(subscription_id: str, namespace: str, types: Iterable[str], regions: Iterable[str]) -> dict[str, Json]:
    """Return a resource provider with its types; one that this server knows nothing of is registered and empty."""
    places = list(regions)
    return {
        "id": f"/subscriptions/{subscription_id}/providers/{namespace}",
        "namespace": namespace,
        "registrationState": "Registered",
        "registrationPolicy": "RegistrationRequired",
        "resourceTypes": [
            {"resourceType": name, "locations": places, "apiVersions": list(API_VERSIONS), "capabilities": "None"}
            for name in types
        ],
    }


def operation_status(name: str, state: str, error: Json = None, *, progress: str | None = None) -> dict[str, Json]:
    """Return a long-running operation as `Azure-AsyncOperation` pollers read it, with its progress in words."""
    body: dict[str, Json] = {"name": name, "status": state}
    if progress:
        body["properties"] = {"progress": progress}
    if error:
        body["error"] = error
    return body
