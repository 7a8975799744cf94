"""Which function carries out which words of `ad`."""

from __future__ import annotations

from entrepot.cli.commands.directory import applications as apps
from entrepot.cli.commands.directory import people

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any


def _me(call: Call) -> Json:
    return call.session.get("/v1.0/me")


ACTS: Mapping[str, Callable[[Call], Json]] = {
    "signed-in-user show": _me,
    "user create": people.create_user, "user delete": people.delete_user, "user list": people.list_users,
    "user show": people.show_user, "user update": people.update_user, "user get-member-groups": people.groups_of_user,
    "group create": people.create_group, "group delete": people.delete_group, "group list": people.list_groups,
    "group show": people.show_group, "group get-member-groups": people.groups_of_group,
    "group member add": people.add_member, "group member remove": people.remove_member,
    "group member list": people.list_members, "group member check": people.check_member,
    "app create": apps.create_application, "app delete": apps.delete_application, "app list": apps.list_applications,
    "app show": apps.show_application, "app update": apps.update_application,
    "app credential list": apps.list_application_proofs, "app credential reset": apps.reset_application_proofs,
    "app credential delete": apps.delete_application_proof,
    "app federated-credential create": apps.create_federated, "app federated-credential list": apps.list_federated,
    "app federated-credential show": apps.show_federated, "app federated-credential update": apps.update_federated,
    "app federated-credential delete": apps.delete_federated,
    "sp create": apps.create_principal, "sp delete": apps.delete_principal, "sp list": apps.list_principals,
    "sp show": apps.show_principal, "sp update": apps.update_principal, "sp create-for-rbac": apps.create_for_rbac,
    "sp credential list": apps.list_principal_proofs, "sp credential reset": apps.reset_principal_proofs,
    "sp credential delete": apps.delete_principal_proof,
}  # fmt: skip


def act(call: Call) -> Json:
    """Carry out a command of `ad`."""
    return ACTS[call.command.name.removeprefix("ad ")](call)


add = check = create = create_for_rbac = delete = get_member_groups = list_ = remove = reset = show = update = act
