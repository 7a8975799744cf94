"""`account`: the one subscription of a server, its regions, and tokens for it."""

from __future__ import annotations

from entrepot.client.connection import quote
from entrepot.client.failures import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any

CLOUD = "Entrepot"


def show(call: Call) -> Json:
    """Return the subscription in use, or a named one."""
    wanted = call.text("name")
    for account in _accounts(call):
        if (account["isDefault"] and not wanted) or wanted in (account["id"], account["name"]):
            return account
    raise Failure(f"There is no subscription {wanted!r}.", hint="entrepot account list")


def list_(call: Call) -> Json:
    """Return all subscriptions."""
    return _accounts(call)


def _accounts(call: Call) -> list[Json]:
    import getpass

    chosen = call.session.subscription
    rows = []
    for item in call.session.get("/subscriptions")["value"]:
        identity = item["subscriptionId"]
        rows.append(
            {
                "environmentName": CLOUD,
                "homeTenantId": item.get("tenantId"),
                "id": identity,
                "isDefault": identity == chosen,
                "managedByTenants": [],
                "name": item.get("displayName") or identity,
                "state": item.get("state") or "Enabled",
                "tenantId": item.get("tenantId"),
                "user": {"name": getpass.getuser(), "type": "user"},
            }
        )
    if not any(row["isDefault"] for row in rows):  # any id is served: it is a name here, not a bill
        rows.append({**rows[0], "id": chosen, "name": chosen, "isDefault": True})
    return rows


def set_(call: Call) -> None:
    """Choose the subscription of the commands to come: one that is there, or any id (see `_accounts`)."""
    wanted = str(call.text("name"))
    known = {account[key]: account["id"] for account in _accounts(call) for key in ("id", "name")}
    if wanted not in known and not _is_guid(wanted):
        raise Failure(f"There is no subscription {wanted!r}.", hint="entrepot account list")
    call.configuration.save("cloud", {"subscription": known.get(wanted, wanted)})


def _is_guid(text: str) -> bool:
    import re

    return re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text) is not None


def clear(call: Call) -> None:
    """Forget which subscription was chosen."""
    call.configuration.save("cloud", {"subscription": ""})


def list_locations(call: Call) -> Json:
    """Return the regions of this server."""
    return call.session.get(f"/subscriptions/{quote(call.session.subscription)}/locations")["value"]


def get_access_token(call: Call) -> Json:
    """Return a token that the server accepts: the home's owner's, which has no end until the home is made anew."""
    from datetime import datetime, timedelta

    account = show(call)
    expires = datetime.now().astimezone() + timedelta(days=1)
    return {
        "accessToken": call.session.token,
        "expiresOn": expires.strftime("%Y-%m-%d %H:%M:%S.%f"),
        "expires_on": int(expires.timestamp()),
        "subscription": account["id"],
        "tenant": account["tenantId"],
        "tokenType": "Bearer",
    }
