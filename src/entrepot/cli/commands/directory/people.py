"""`ad user` and `ad group`."""

from __future__ import annotations

from entrepot.cli.commands.directory import finding
from entrepot.cli.commands.directory.finding import BASE, GROUPS, USERS, address, every, listed, quoted
from entrepot.client.failures import UsageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any

_NO_CHANGE = "usage error: give what shall change, such as --display-name, --password or --account-enabled"


def create_user(call: Call) -> Json:
    """Add a user with a password."""
    name = str(call.text("user_principal_name"))
    body = {
        "displayName": call.text("display_name"), "userPrincipalName": name, "accountEnabled": True,
        "mailNickname": call.text("mail_nickname") or name.partition("@")[0],
        "passwordProfile": {"password": call.text("password")},
    }  # fmt: skip
    return call.session.post(f"{BASE}/{USERS}", body)


def list_users(call: Call) -> Json:
    """Return users."""
    return listed(call, USERS, upn="userPrincipalName eq {}")


def show_user(call: Call) -> Json:
    """Return a user."""
    return finding.user(call, str(call.text("id")))


def update_user(call: Call) -> None:
    """Change a user's name, password or whether the account works."""
    texts = {"displayName": call.text("display_name"), "mailNickname": call.text("mail_nickname")}
    body: dict[str, Json] = {name: text for name, text in texts.items() if text is not None}
    if call.text("password") is not None:
        body["passwordProfile"] = {"password": call.text("password")}
    if call.text("account_enabled") is not None:
        body["accountEnabled"] = str(call.text("account_enabled")).lower() == "true"
    if not body:
        raise UsageFailure(_NO_CHANGE)
    call.session.patch(address(USERS, str(call.text("id"))), body)


def delete_user(call: Call) -> None:
    """Delete a user."""
    call.session.delete(address(USERS, str(call.text("id"))))


def groups_of_user(call: Call) -> Json:
    """Return the groups that a user is in."""
    return finding.member_groups(call, USERS, finding.user(call, str(call.text("id")))["id"])


def create_group(call: Call) -> Json:
    """Make a group; one with the same name and nickname is returned as it is, unless --force."""
    names = {"displayName": call.text("display_name"), "mailNickname": call.text("mail_nickname")}
    terms = [f"{field} eq {quoted(text)}" for field, text in names.items()]
    if not call.flag("force"):
        for found in every(call, f"{BASE}/{GROUPS}", *terms):
            call.console.note("A group with the same display name and mail nickname exists already.")
            return found
    body = {**names, "description": call.text("description"), "mailEnabled": False, "securityEnabled": True}
    return call.session.post(f"{BASE}/{GROUPS}", body)


def list_groups(call: Call) -> Json:
    """Return groups."""
    return listed(call, GROUPS)


def show_group(call: Call) -> Json:
    """Return a group."""
    return _group(call)


def delete_group(call: Call) -> None:
    """Delete a group; its members stay."""
    call.session.delete(address(GROUPS, _group(call)["id"]))


def groups_of_group(call: Call) -> Json:
    """Return the ids of the groups that a group is in."""
    return [one["id"] for one in finding.member_groups(call, GROUPS, _group(call)["id"])]


def add_member(call: Call) -> None:
    """Put a user, a service principal or a group into a group."""
    member = f"{call.session.url}{BASE}/directoryObjects/{call.text('member_id')}"
    call.session.post(address(GROUPS, _group(call)["id"], "members", "$ref"), {"@odata.id": member})


def remove_member(call: Call) -> None:
    """Take somebody out of a group."""
    call.session.delete(address(GROUPS, _group(call)["id"], "members", str(call.text("member_id")), "$ref"))


def list_members(call: Call) -> Json:
    """Return who is in a group."""
    return every(call, address(GROUPS, _group(call)["id"], "members"))


def check_member(call: Call) -> Json:
    """Say whether somebody is in a group, directly or through other groups."""
    id = _group(call)["id"]
    place = f"{BASE}/directoryObjects/{call.text('member_id')}/checkMemberGroups"
    return {"value": id in call.session.post(place, {"groupIds": [id]})["value"]}


def _group(call: Call) -> Json:
    return finding.group(call, str(call.text("group")))
