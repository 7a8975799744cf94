"""`ad app` and `ad sp`: applications, their service principals, and what they prove themselves with."""

from __future__ import annotations

from entrepot.cli.commands.access.places import place
from entrepot.cli.commands.access.roles import give
from entrepot.cli.commands.directory import finding
from entrepot.cli.commands.directory.finding import APPLICATIONS, BASE, PRINCIPALS, address, every, listed, quoted
from entrepot.client.failures import UsageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any

_OPTIONS = {
    "display_name": "displayName", "sign_in_audience": "signInAudience", "identifier_uris": "identifierUris",
    "is_fallback_public_client": "isFallbackPublicClient",
}  # fmt: skip
_ADDRESSES = {"web_redirect_uris": "web", "public_client_redirect_uris": "publicClient"}
_PROTECT = "The output includes credentials that you must protect."


def create_application(call: Call) -> Json:
    """Register an application; of one with the same name, what the line says is changed."""
    named = every(call, f"{BASE}/{APPLICATIONS}", f"displayName eq {quoted(call.text('display_name'))}")
    if len(named) == 1:
        call.console.note(f"Application {named[0]['appId']} has this name already: it is changed.")
        call.session.patch(address(APPLICATIONS, named[0]["id"]), _said(call))
        return call.session.get(address(APPLICATIONS, named[0]["id"]))
    return call.session.post(f"{BASE}/{APPLICATIONS}", _said(call))


def _said(call: Call) -> dict[str, Json]:
    """Return what the line says of an application, as Graph has it."""
    body: dict[str, Json] = {}
    for option, field in _OPTIONS.items():
        value = getattr(call.options, option, None)
        if value is not None:
            body[field] = value if isinstance(value, list) else _plain(value)
    for option, platform in _ADDRESSES.items():
        if getattr(call.options, option, None) is not None:
            body[platform] = {"redirectUris": call.words(option)}
    return body


def _plain(text: str) -> Json:
    return {"true": True, "false": False}.get(text.lower(), text)


def list_applications(call: Call) -> Json:
    """Return applications."""
    uri = "identifierUris/any(s:s eq {})"
    return listed(call, APPLICATIONS, app_id="appId eq {}", identifier_uri=uri)


def show_application(call: Call) -> Json:
    """Return an application."""
    return _application(call)


def update_application(call: Call) -> None:
    """Change an application, by options or by --set."""
    _update(call, address(APPLICATIONS, _application(call)["id"]), _said(call))


def delete_application(call: Call) -> None:
    """Delete an application with its service principal and its credentials."""
    call.session.delete(address(APPLICATIONS, _application(call)["id"]))


def create_principal(call: Call) -> Json:
    """Make the service principal of an application."""
    return call.session.post(f"{BASE}/{PRINCIPALS}", {"appId": _application(call)["appId"]})


def list_principals(call: Call) -> Json:
    """Return service principals."""
    return listed(call, PRINCIPALS, spn="servicePrincipalNames/any(c:c eq {})")


def show_principal(call: Call) -> Json:
    """Return a service principal."""
    return _principal(call)


def update_principal(call: Call) -> None:
    """Change a service principal by --set."""
    _update(call, address(PRINCIPALS, _principal(call)["id"]), {})


def delete_principal(call: Call) -> None:
    """Delete a service principal; its application stays."""
    call.session.delete(address(PRINCIPALS, _principal(call)["id"]))


def _update(call: Call, home: str, said: dict[str, Json]) -> None:
    from entrepot.client import overrides

    before = call.session.get(home)
    fresh = {**before, **said}
    overrides.apply(fresh, call.options.ordered, keeps_strings=call.flag("force_string"))
    changed = {field: value for field, value in fresh.items() if value != before.get(field)}
    if changed:
        call.session.patch(home, changed)


def list_application_proofs(call: Call) -> Json:
    """Return what an application proves itself with: secrets, or with --cert certificates."""
    return _proofs(call, _application(call))


def list_principal_proofs(call: Call) -> Json:
    """Return what a service principal proves itself with, which is what its application does."""
    return _proofs(call, _principal(call))


def _proofs(call: Call, owner: Json) -> Json:
    return owner["keyCredentials" if call.flag("cert") else "passwordCredentials"]


def reset_application_proofs(call: Call) -> Json:
    """Give an application a new secret or certificate, in the place of the others unless --append."""
    return _reset(call, APPLICATIONS, _application(call))


def reset_principal_proofs(call: Call) -> Json:
    """Give a service principal's application a new secret or certificate."""
    return _reset(call, PRINCIPALS, _principal(call))


def _reset(call: Call, collection: str, owner: Json, *, display_name: str | None = None) -> dict[str, Json]:
    home = address(collection, owner["id"])
    if not call.flag("append"):
        for held in owner["passwordCredentials"]:
            call.session.post(f"{home}/removePassword", {"keyId": held["keyId"]})
    told: dict[str, Json] = {"appId": owner["appId"], "password": None, "tenant": _tenant(call)}
    certificates = owner["keyCredentials"] if call.flag("append") else []
    if call.text("cert"):
        fresh = {"key": call.text("cert"), "displayName": display_name, "type": "AsymmetricX509Cert"}
        call.session.patch(home, {"keyCredentials": [*certificates, fresh]})
        return told
    if owner["keyCredentials"] != certificates:
        call.session.patch(home, {"keyCredentials": certificates})
    wanted = {"displayName": display_name, "endDateTime": _end(call)}
    told["password"] = call.session.post(f"{home}/addPassword", {"passwordCredential": wanted})["secretText"]
    call.console.note(_PROTECT)
    return told


def _end(call: Call) -> str | None:
    """Return when a secret ends, None for the usual time."""
    import time

    if call.text("years") and call.text("end_date"):
        raise UsageFailure("usage error: --years | --end-date")
    if call.text("end_date"):
        return call.text("end_date")
    years = call.number("years")
    ends = time.gmtime(time.time() + 365 * 86400 * years) if years else None
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", ends) if ends else None


def _tenant(call: Call) -> str:
    return str(call.session.get("/tenants")["value"][0]["tenantId"])


def delete_application_proof(call: Call) -> None:
    """Take a secret or a certificate from an application, and with it the tokens that it gave."""
    _remove(call, APPLICATIONS, _application(call))


def delete_principal_proof(call: Call) -> None:
    """Take a secret or a certificate from a service principal's application."""
    _remove(call, PRINCIPALS, _principal(call))


def _remove(call: Call, collection: str, owner: Json) -> None:
    home, id = address(collection, owner["id"]), str(call.text("key_id"))
    if not call.flag("cert"):
        call.session.post(f"{home}/removePassword", {"keyId": id})
        return
    kept = [held for held in owner["keyCredentials"] if held["keyId"] != id]
    if kept == owner["keyCredentials"]:
        raise UsageFailure(f"argument --key-id: {owner['displayName']} has no certificate {id}")
    call.session.patch(home, {"keyCredentials": kept})


def create_for_rbac(call: Call) -> Json:
    """Make an application, its principal and a secret, and give it a role: all that a script needs to sign in."""
    import time

    role, scopes = call.text("role"), call.words("scopes")
    if bool(role) != bool(scopes):
        raise UsageFailure("usage error: --role NAME --scopes SCOPE [SCOPE ...]")
    name = call.text("display_name") or time.strftime("azure-cli-%Y-%m-%d-%H-%M-%S", time.gmtime())
    named = every(call, f"{BASE}/{APPLICATIONS}", f"displayName eq {quoted(name)}")
    if len(named) > 1:
        raise UsageFailure(f"argument --name: {len(named)} applications are named {name!r}: choose another name")
    made = named[0] if named else call.session.post(f"{BASE}/{APPLICATIONS}", {"displayName": name})
    twins = every(call, f"{BASE}/{PRINCIPALS}", f"appId eq {quoted(made['appId'])}")
    twin = twins[0] if twins else call.session.post(f"{BASE}/{PRINCIPALS}", {"appId": made["appId"]})
    for scope in scopes:
        give(call, twin["id"], "ServicePrincipal", role=str(role), at=place(call, scope))
    told = _reset(call, APPLICATIONS, made, display_name="rbac")
    return {"appId": told["appId"], "displayName": name, "password": told["password"], "tenant": told["tenant"]}


def create_federated(call: Call) -> Json:
    """Trust another issuer's tokens for one subject."""
    return call.session.post(_federated(call), _parameters(call))


def list_federated(call: Call) -> Json:
    """Return what an application trusts of other issuers."""
    return call.session.get(_federated(call))["value"]


def show_federated(call: Call) -> Json:
    """Return one such trust."""
    return call.session.get(_federated(call, one=True))


def update_federated(call: Call) -> None:
    """Change one such trust."""
    call.session.patch(_federated(call, one=True), _parameters(call))


def delete_federated(call: Call) -> None:
    """End one such trust."""
    call.session.delete(_federated(call, one=True))


def _federated(call: Call, *, one: bool = False) -> str:
    from entrepot.client.connection import quote

    rest = ["federatedIdentityCredentials", *([quote(str(call.text("federated_credential_id")))] if one else [])]
    return address(APPLICATIONS, _application(call)["id"], *rest)


def _parameters(call: Call) -> Json:
    import json
    from pathlib import Path

    text = str(call.text("parameters"))
    try:
        value = json.loads(text if text.lstrip().startswith("{") else Path(text).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UsageFailure(
            f"argument --parameters: {text[:200]!r} is neither JSON nor a file of it: {error}"
        ) from error
    if not isinstance(value, dict):
        raise UsageFailure("argument --parameters: a federated credential is a JSON object")
    return value


def _application(call: Call) -> Json:
    return finding.application(call, str(call.text("id")))


def _principal(call: Call) -> Json:
    return finding.principal(call, str(call.text("id")))
