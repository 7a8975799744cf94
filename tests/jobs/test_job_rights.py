"""A job acts as who submitted it, with the rights that this user has when a step starts; the workspace has none."""

from typing import Any

import pytest

from entrepot.core.errors import AccessDenied, NotFound
from entrepot.domain import audit
from entrepot.domain.authorization import assignments
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.identity import directory, memberships
from entrepot.domain.jobs import records
from entrepot.domain.schedules import firing, schedules
from entrepot.testing.hub import OWNER
from tests.jobs.conftest import REGISTRY, House

Json = Any

NEVER = {"triggerType": "Cron", "expression": "0 0 1 1 *", "timeZone": "UTC"}


def user(hub: Hub, name: str) -> Principal:
    body = directory.create(
        hub, OWNER, directory.USER, {"displayName": name, "userPrincipalName": f"{name}@contoso.com"}
    ).body
    return Principal(body["id"], body["userPrincipalName"], tenant=hub.settings.tenant)


def give(hub: Hub, id: str, role: str, scope: str, kind: str = "User") -> str:
    made = assignments.assign(hub, OWNER, role=role, assignee=id, assignee_kind=kind, scope=scope)
    return str(made.body["name"])


def pipeline(house: House) -> Json:
    component = house.component("hello", "echo hello", scope=REGISTRY)
    return {"jobType": "Pipeline", "jobs": {"a": {"type": "command", "componentId": component}}}


def failed(house: House, name: str) -> str:
    house.start()
    assert house.finish(name)["properties"]["status"] == records.FAILED
    (node,) = house.nodes(name).values()
    return str(node["properties"]["error"]["message"])


def test_reading_the_registry_takes_the_submitters_own_right(idle: House) -> None:
    ada = user(idle.hub, "ada")
    give(idle.hub, ada.id, "AzureML Data Scientist", idle.scope.arm_id)
    job = pipeline(idle)
    with pytest.raises(NotFound):
        idle.submit("one", job, principal=ada)
    give(idle.hub, ada.id, "AzureML Registry User", REGISTRY.key)
    idle.submit("one", job, principal=ada)
    idle.start()
    assert idle.finish("one")["properties"]["status"] == records.COMPLETED


def test_a_right_that_is_taken_back_before_a_step_starts_fails_it_with_a_refusal(idle: House) -> None:
    ada = user(idle.hub, "ada")
    give(idle.hub, ada.id, "AzureML Data Scientist", idle.scope.arm_id)
    right = give(idle.hub, ada.id, "AzureML Registry User", REGISTRY.key)
    idle.submit("one", pipeline(idle), principal=ada)
    assignments.revoke(idle.hub, OWNER, right)
    message = failed(idle, "one")
    assert message.startswith("ada@contoso.com")
    for part in (
        "for whom the job",
        "registries/assets/read",
        "'AzureML Registry User' would grant",
    ):
        assert part in message
    told = [entry.body for entry in audit.entries(idle.hub, newest=True)]
    denied = next(entry for entry in told if entry["outcome"] == audit.DENIED)
    assert denied["principal"]["id"] == ada.id and denied["principal"]["via"]


def test_leaving_a_group_takes_its_rights_from_jobs_that_wait(idle: House) -> None:
    ada = user(idle.hub, "ada")
    team = directory.create(idle.hub, OWNER, directory.GROUP, {"displayName": "team"}).body["id"]
    memberships.add(idle.hub, OWNER, team, ada.id)
    give(idle.hub, team, "Contributor", "/", kind="Group")
    member = Principal(ada.id, ada.name, tenant=ada.tenant, groups=(team,))
    idle.submit("one", pipeline(idle), principal=member)
    memberships.remove(idle.hub, OWNER, team, ada.id)
    assert "may not perform" in failed(idle, "one")


def test_jobs_of_who_is_gone_do_not_start(idle: House) -> None:
    ada = user(idle.hub, "ada")
    give(idle.hub, ada.id, "Contributor", "/")
    idle.submit("one", pipeline(idle), principal=ada)
    directory.delete(idle.hub, OWNER, directory.USER, ada.id)
    assert "is not in the directory any more" in failed(idle, "one")


def test_a_schedule_submits_with_the_rights_of_who_wrote_it(idle: House) -> None:
    ada = user(idle.hub, "ada")
    give(idle.hub, ada.id, "AzureML Data Scientist", idle.scope.arm_id)
    right = give(idle.hub, ada.id, "AzureML Registry User", REGISTRY.key)
    action = {"actionType": "CreateJob", "jobDefinition": pipeline(idle)}
    trigger = {"triggerType": "Recurrence", "frequency": "Day", "interval": 1}
    schedules.put(idle.hub, ada, idle.scope, "daily", {"action": action, "trigger": trigger})
    assignments.revoke(idle.hub, OWNER, right)
    now = idle.hub.clock.now()
    (work,) = idle.hub.documents.lease([schedules.QUEUE], owner="test", now=now, seconds=60)
    firing.fire(idle.hub, work)
    document = idle.hub.documents.get(schedules.key_of(idle.scope, "daily"))
    assert document is not None
    assert "There is no" in document.body["entrepot"]["jobs"][0]["error"]


def test_a_job_submitted_with_a_jobs_token_gets_no_further_than_the_token(idle: House) -> None:
    inner = Principal(OWNER.id, OWNER.name, via="outer", within=idle.scope.key)
    idle.submit("one", pipeline(idle), principal=inner)
    acting = records.submitter(idle.hub, records.load(idle.hub, idle.scope, "one"))
    assert acting.within == idle.scope.key
    with pytest.raises(AccessDenied, match="token of the job one"):
        assignments.assign(idle.hub, acting, role="Owner", assignee="eve", scope="/")
