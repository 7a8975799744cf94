"""What the authority grants: who was recognised, for which audience, by which credential. Signing is the server's.

`admit` is the other direction: whether the claims of a token that was granted earlier still stand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from entrepot.core.errors import Unauthenticated
from entrepot.domain.access import scope_key_of
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.identity.standing import Holder

Json = Any

MOST_GROUPS_TOLD = 200
"""As in Entra: a token that would name more groups names none; the server looks them up in any case."""


@dataclass(frozen=True, slots=True)
class Granted:
    """Somebody recognised. `credential` is the id of what an application showed, `session` of a user's sign-in."""

    holder: Holder
    client_id: str
    credential: str = ""
    session: str = ""
    refresh_token: str = ""
    nonce: str = ""
    auth_time: float = 0

    @property
    def is_user(self) -> bool:
        """True when a person signed in."""
        return self.holder.kind == "User"


def principal_of(hub: Hub, holder: Holder, *, via: str | None = None, within: str = "") -> Principal:
    """Return who a holder is to the rest of the product."""
    tenant = "" if holder.is_guest else hub.settings.tenant  # what everybody in the tenant may do, guests may not
    return Principal(holder.id, holder.name, holder.kind, tenant, via, holder.groups, within)


def claims_of(hub: Hub, granted: Granted) -> dict[str, Json]:
    """Return what an access token says of its holder."""
    holder = granted.holder
    claims: dict[str, Json] = {
        "sub": holder.id, "oid": holder.id, "tid": hub.settings.tenant, "name": holder.name, "ver": "2.0",
        "idtyp": "user" if granted.is_user else "app", "gen": holder.generation,
        "appid": granted.client_id, "azp": granted.client_id,
    }  # fmt: skip
    if granted.is_user:
        claims |= {"upn": holder.name, "preferred_username": holder.name, "scp": "user_impersonation"}
    claims |= groups_told(holder.groups)
    if granted.credential:
        claims["crd"] = granted.credential
    if granted.session:
        claims["sid"] = granted.session
    return claims


def claims_of_job(hub: Hub, submitter: Principal, job: str, workspace: str) -> dict[str, Json]:
    """Return what a job's token says: it acts for its submitter, within its workspace, for as long as it runs."""
    return {
        "sub": submitter.id, "oid": submitter.id, "tid": hub.settings.tenant, "name": submitter.name, "ver": "2.0",
        "idtyp": "user" if submitter.kind == "User" else "app", "job": job, "workspace": workspace,
    }  # fmt: skip


def groups_told(groups: Sequence[str]) -> dict[str, Json]:
    """Return the claim that names somebody's groups, or that there are too many to name."""
    return {"groups": list(groups)} if len(groups) <= MOST_GROUPS_TOLD else {"hasgroups": True}


def admit(hub: Hub, claims: Mapping[str, Json]) -> Principal:
    """Return whom a genuine, unexpired token stands for now. Raises Unauthenticated for one that was taken back."""
    holder = hub.standing.of(hub.documents, str(claims.get("oid", "")), hub.clock.now())
    if holder is None:
        raise Unauthenticated("The token's holder is not in the directory any more")
    if not holder.is_enabled:
        raise Unauthenticated(f"The account {holder.name} is switched off")
    if not claims.get("job") and claims.get("gen") != holder.generation:  # a job's token ends with the job
        raise Unauthenticated(f"The sign-ins of {holder.name} were revoked: sign in again")
    if claims.get("crd") and claims["crd"] not in holder.credentials:
        raise Unauthenticated(f"The credential by which {holder.name} got this token was taken back")
    if claims.get("sid") and hub.documents.get(f"sessions/{claims['sid']}") is None:
        raise Unauthenticated(f"{holder.name} has signed out")
    within = scope_key_of(claims["workspace"]) if claims.get("workspace") else ""
    return principal_of(hub, holder, via=claims.get("job") or None, within=within)


def require_running(hub: Hub, principal: Principal) -> None:
    """Return if the job that a token was given to is still under way. Raises Unauthenticated."""
    document = hub.documents.get(f"{principal.within}/jobs/{principal.via}")
    if document is None:
        raise Unauthenticated(f"The token's job {principal.via} is not there any more")
    stamp = (document.sequence, document.revision)
    memory_key = f"over/{document.key}"
    is_over: bool | None = hub.memory.recall(memory_key, stamp)
    if is_over is None:
        is_over = document.body["properties"]["status"] in ("Completed", "Failed", "Canceled")
        hub.memory.remember(memory_key, stamp, is_over)
    if is_over:
        raise Unauthenticated(f"The token's job {principal.via} has ended, and its token with it")
