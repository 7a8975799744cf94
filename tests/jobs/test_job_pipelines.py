"""Pipelines that really run: data from step to step, nesting, failures, cancelling, and what is refused."""

from typing import Any

import pytest

from entrepot.core.errors import (
    AccessDenied,
    AlreadyExists,
    InvalidExpression,
    InvalidPipeline,
    NotFound,
    RegistryRegionNotSupported,
    StateConflict,
    Unsupported,
)
from entrepot.core.ids import AssetRef, RegistryScope, WorkspaceScope
from entrepot.core.nouns import CODE, COMPONENT, DATA
from entrepot.domain import replication, work, workspaces
from entrepot.domain.assets import catalog
from entrepot.domain.authorization import assignments
from entrepot.domain.hub import Principal
from entrepot.domain.jobs import queries, submission
from entrepot.domain.jobs.tracking import history
from entrepot.domain.jobs.tracking.session import Session
from entrepot.store.documents import View
from entrepot.testing.hub import OWNER

House = Any
REGISTRY = RegistryScope("contoso")
COPY = {
    "inputs": {"d": {"type": "uri_folder", "optional": True}, "word": {"type": "string", "default": "w"}},
    "outputs": {"o": {"type": "uri_folder"}},
}
APPEND = "cat $[[${{inputs.d}}/f]] < /dev/null > ${{outputs.o}}/f; echo ${{inputs.word}} >> ${{outputs.o}}/f"


def step(component: str, word: str = "w", after: str = "", **more: Any) -> dict[str, Any]:
    inputs = {"word": word} | ({"d": f"${{{{parent.jobs.{after}.outputs.o}}}}"} if after else {})
    return {"component": component, "inputs": inputs, **more}


def test_data_flow_from_step_to_step_and_out_of_the_pipeline(house: House) -> None:
    house.component("append", APPEND, scope=REGISTRY, **COPY)
    newest = "azureml://registries/contoso/components/append/labels/latest"
    body = house.pipeline(
        "p",
        {
            "c": {
                **step(newest, "three", "b"),
                "outputs": {"o": {"type": "literal", "value": "${{parent.outputs.all}}"}},
            },
            "a": step(newest.replace("labels/latest", "versions/1"), "${{parent.inputs.first}}"),
            "b": step("azureml://registries/contoso/components/append", "two", "a"),
        },
        inputs={"first": {"jobInputType": "literal", "value": "one"}},
        outputs={"all": {"jobOutputType": "uri_folder"}},
        settings={"default_compute": "azureml:cpu-cluster"},
    )
    assert "?" in body["properties"]["services"]["Studio"]["endpoint"]
    done = house.finish("p")
    assert done["properties"]["status"] == "Completed", done["properties"].get("error")
    assert house.output("p", "all") == {"f": b"one\ntwo\nthree\n"}
    assert done["entrepot"]["outputs"]["all"]["path"] == "azureml/p/all"
    nodes = house.nodes("p")
    assert list(nodes) == ["a", "b", "c"]
    for node in nodes.values():
        assert node["properties"]["componentId"] == "azureml://registries/contoso/components/append/versions/1"
        assert node["entrepot"]["parent"] == node["entrepot"]["root"] == "p"
        assert node["properties"]["computeId"].endswith("/computes/cpu-cluster")
    assert nodes["b"]["properties"]["displayName"] == "b"
    assert house.hub.documents.links("azureml://registries/contoso/components/append/versions/1", reverse=True)
    roots = queries.list_(house.hub, OWNER, house.scope, view=View.ALL)
    assert [document.body["name"] for document in roots.documents] == ["p"]
    log = house.log("p")
    assert f"c ({nodes['c']['name']}) Completed" in log


def test_a_nested_pipeline_is_a_job_with_nodes_of_its_own(house: House) -> None:
    append = house.component("append", APPEND, scope=REGISTRY, **COPY)
    inner = {
        "x": {"component": append, "inputs": {"d": "${{parent.inputs.data}}", "word": "${{parent.inputs.w}}"}},
        "y": {
            **step(append, "inner", "x"),
            "outputs": {"o": {"type": "literal", "value": "${{parent.outputs.result}}"}},
        },
    }
    nested = house.component(
        "nested", "", scope=REGISTRY, type="pipeline", jobs=inner,
        inputs={"data": {"type": "uri_folder"}, "w": {"type": "string", "default": "given"}},
        outputs={"result": {"type": "uri_folder"}},
    )  # fmt: skip
    house.pipeline(
        "p",
        {
            "a": step(append, "first"),
            "n": {"type": "pipeline", "component": nested, "inputs": {"data": "${{parent.jobs.a.outputs.o}}"}},
            "z": {"component": append, "inputs": {"d": "${{parent.jobs.n.outputs.result}}", "word": "last"}},
        },
    )
    done = house.finish("p")
    assert done["properties"]["status"] == "Completed", done["properties"].get("error")
    nodes = house.nodes("p")
    assert nodes["n"]["properties"]["jobType"] == "Pipeline"
    assert house.output(nodes["z"]["name"], "o") == {"f": b"first\ngiven\ninner\nlast\n"}
    inside = house.nodes(nodes["n"]["name"])
    assert inside["x"]["entrepot"]["root"] == "p"
    assert inside["x"]["entrepot"]["parent"] == nodes["n"]["name"]


def test_other_branches_go_on_after_a_failure_and_the_pipeline_fails_at_the_end(house: House) -> None:
    bad, good = house.component("bad", "echo no luck; exit 9", **COPY), house.component("good", APPEND, **COPY)
    house.pipeline("p", {"x": step(bad), "y": step(good, "y", "x"), "z": step(good, "z", "y"), "other": step(good)})
    done = house.finish("p")
    assert done["properties"]["status"] == "Failed"
    assert done["properties"]["error"]["message"].startswith("Step x failed")
    assert "no luck" in done["properties"]["error"]["message"]
    nodes = house.nodes("p")
    states = {name: node["properties"]["status"] for name, node in nodes.items()}
    assert states == {"x": "Failed", "y": "Canceled", "z": "Canceled", "other": "Completed"}
    assert nodes["y"]["entrepot"]["statusMessage"] == "step x, whose output step y needs, failed"


def test_a_failure_ends_the_others_when_the_pipeline_says_so(house: House) -> None:
    bad, slow = house.component("bad", "exit 9", **COPY), house.component("slow", "sleep 300", **COPY)
    house.pipeline("p", {"x": step(bad), "y": step(slow)}, settings={"continue_on_step_failure": False})
    assert house.finish("p")["properties"]["status"] == "Failed"
    assert house.nodes("p")["y"]["properties"]["status"] == "Canceled"


def test_cancelling_a_pipeline_ends_what_runs_and_what_waits_in_nested_ones_too(house: House) -> None:
    slow = house.component("slow", "echo up; sleep 300", scope=REGISTRY, **COPY)
    nested = house.component(
        "nested", "", scope=REGISTRY, type="pipeline", jobs={"x": step(slow), "y": step(slow, "w", "x")}
    )
    house.pipeline("p", {"n": {"component": nested}, "s": step(slow)})

    def runs() -> bool:
        inside = house.nodes(house.nodes("p")["n"]["name"])
        return "up" in house.log(inside["x"]["name"]) and "up" in house.log(house.nodes("p")["s"]["name"])

    house.until(runs, what="both steps")
    submission.cancel(house.hub, OWNER, house.scope, "p")
    assert house.finish("p")["properties"]["status"] == "Canceled"
    nodes = house.nodes("p")
    inside = house.nodes(nodes["n"]["name"])
    assert {n["properties"]["status"] for n in [*nodes.values(), *inside.values()]} == {"Canceled"}


def test_a_step_that_ran_before_is_reused_and_says_so(house: House) -> None:
    append = house.component("append", APPEND, **COPY)
    jobs = {"a": step(append, "one"), "b": step(append, "two", "a")}
    house.pipeline("first", jobs)
    house.finish("first")
    house.pipeline("second", jobs)
    house.finish("second")
    first, second = house.nodes("first"), house.nodes("second")
    for name in ("a", "b"):
        reuse = second[name]["entrepot"]["reuse"]
        assert reuse["reused"] is True
        assert reuse["of"] == first[name]["name"]
        assert house.output(second[name]["name"], "o") == house.output(first[name]["name"], "o")
    assert second["a"]["entrepot"]["outputs"]["o"]["path"] == f"azureml/{second['a']['name']}/o"
    assert "no earlier run" in first["a"]["entrepot"]["reuse"]["reason"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"settings": {"force_rerun": True}}, "force_rerun is set"),
        ({"jobs": {"a": {"inputs": {"word": "other"}}}}, "it differs in input word"),
        ({"jobs": {"a": {"environment_variables": {"X": "1"}}}}, "it differs in its environment variables"),
    ],
)
def test_a_step_that_is_not_reused_says_why(house: House, change: dict[str, Any], reason: str) -> None:
    append = house.component("append", APPEND, **COPY)
    house.pipeline("first", {"a": step(append, "one")})
    house.finish("first")
    jobs = {"a": {**step(append, "one"), **change.get("jobs", {}).get("a", {})}}
    house.pipeline("second", jobs, settings=change.get("settings", {}))
    house.finish("second")
    reuse = house.nodes("second")["a"]["entrepot"]["reuse"]
    assert reuse["reused"] is False
    assert reason in reuse["reason"]


@pytest.mark.parametrize(
    ("version", "edit", "word", "kin", "difference"),
    [
        ("one", "", "other", "its component", "input word"),
        ("two", " # edited", "one", "a step of its name", "its command"),
        ("two", " # edited", "other", "a step of its name", "its command, input word"),
    ],
)
def test_an_inline_step_that_is_not_reused_says_in_what_it_differs(
    house: House, version: str, edit: str, word: str, kin: str, difference: str
) -> None:
    inline = "azureml_anonymous"
    house.pipeline("first", {"a": step(house.component(inline, APPEND, version="one", **COPY), "one")})
    house.finish("first")
    unlike = house.component(inline, f"{APPEND} # another step's", version="unlike", **COPY)
    house.pipeline("between", {"other": step(unlike, "one")})
    house.finish("between")
    house.pipeline("second", {"a": step(house.component(inline, APPEND + edit, version=version, **COPY), word)})
    house.finish("second")
    ran = house.nodes("first")["a"]["name"]
    reuse = house.nodes("second")["a"]["entrepot"]["reuse"]
    assert reuse["reason"] == f"compared to job {ran}, the newest run of {kin}, it differs in {difference}"
    assert reuse["component"].endswith(f"/azureml_anonymous/versions/{version}")
    assert "no earlier run" in house.nodes("between")["other"]["entrepot"]["reuse"]["reason"]


def test_changed_bytes_behind_the_same_path_are_noticed(house: House) -> None:
    append = house.component("append", "cat ${{inputs.d}}/f > ${{outputs.o}}/f", **COPY)
    jobs = {
        "a": {"component": append, "inputs": {"d": {"type": "uri_folder", "uri": house.upload("in", {"f": b"old"})}}}
    }
    house.pipeline("first", jobs)
    house.finish("first")
    house.upload("in", {"f": b"new"})
    house.pipeline("second", jobs)
    house.finish("second")
    second = house.nodes("second")["a"]
    assert house.output(second["name"], "o") == {"f": b"new"}
    assert "it differs in input d" in second["entrepot"]["reuse"]["reason"]


def test_a_component_that_is_not_deterministic_always_runs(house: House) -> None:
    dice = house.component(
        "dice", "cat /proc/sys/kernel/random/uuid > ${{outputs.o}}/f", is_deterministic=False, **COPY
    )
    for name in ("first", "second"):
        house.pipeline(name, {"a": step(dice)})
        house.finish(name)
    assert house.output(house.nodes("first")["a"]["name"], "o") != house.output(house.nodes("second")["a"]["name"], "o")
    assert "not deterministic" in house.nodes("second")["a"]["entrepot"]["reuse"]["reason"]


def test_the_same_submission_again_is_the_same_job_and_another_names_what_differs(idle: House) -> None:
    append = idle.component("append", APPEND, **COPY)
    idle.pipeline("p", {"a": step(append, "one")}, tags={"x": "1"})
    assert idle.pipeline("p", {"a": step(append, "one")}, tags={"x": "1"})["name"] == "p"
    with pytest.raises(AlreadyExists, match="differs in jobs, tags: choose another name"):
        idle.pipeline("p", {"a": step(append, "two")}, tags={"x": "2"})
    assert len(idle.nodes("p")) == 1
    with pytest.raises(StateConflict, match="belongs to a node of pipeline p"):
        idle.command(idle.nodes("p")["a"]["name"], "true")


def test_a_job_without_a_display_name_gets_one(idle: House) -> None:
    name = idle.command("j", "true")["properties"]["displayName"]
    assert name.count("_") == 2
    assert idle.command("k", "true", displayName="Mine")["properties"]["displayName"] == "Mine"


@pytest.mark.parametrize(
    ("jobs", "error", "words"),
    [
        ({"a": {"component": "azureml:none:1"}}, NotFound, "node a"),
        (
            {"a": {"component": "azureml://registries/nowhere/components/c/versions/1"}},
            NotFound,
            "no registry 'nowhere'",
        ),
        ({"a": {"component": "azureml:append:7"}}, NotFound, "append:7"),
        ({"a": {"component": "azureml:append:1", "compute": "azureml:gpu"}}, NotFound, "there are cpu-cluster"),
        ({"a": {"component": "azureml:append:1", "inputs": {"x": 1}}}, InvalidPipeline, "no input x"),
        ({"a": {"component": "azureml:append:1", "outputs": {"x": None}}}, InvalidPipeline, "no output x"),
        (
            {"a": {"component": "azureml:append:1", "inputs": {"d": "${{parent.inputs.q}}"}}},
            InvalidExpression,
            "parent.inputs.q",
        ),
        (
            {"a": {"component": "azureml:append:1", "inputs": {"d": {"type": "uri_folder", "path": "./x"}}}},
            Exception,
            "'./x'",
        ),
        ({"a": {"type": "spark"}}, Unsupported, "'spark' of node a"),
    ],
)
def test_what_cannot_run_is_refused_whole(idle: House, jobs: Any, error: type[Exception], words: str) -> None:
    idle.component("append", APPEND, **COPY)
    with pytest.raises(error) as caught:
        idle.pipeline("p", jobs)
    assert words in str(caught.value)
    with pytest.raises(NotFound):
        idle.job("p")


def test_a_command_that_names_an_unknown_input_is_refused_at_submission(idle: House) -> None:
    with pytest.raises(InvalidExpression, match=r"\$\{\{inputs\.y\}\} in the command of the job names nothing there"):
        idle.command("j", "echo ${{inputs.y}}")


def test_a_registry_that_is_not_in_the_region_of_the_workspace_is_told_with_its_regions(idle: House) -> None:
    idle.component("append", APPEND, scope=REGISTRY, **COPY)
    west = WorkspaceScope(idle.scope.subscription, "rg", "west")
    workspaces.create(idle.hub, OWNER, west, {"location": "westus"})
    body = {
        "jobType": "Pipeline",
        "jobs": {"a": {"component": "azureml://registries/contoso/components/append/versions/1"}},
    }
    with pytest.raises(RegistryRegionNotSupported, match=r"westus.*eastus, westeurope"):
        submission.submit(idle.hub, OWNER, west, "p", body)


def test_a_job_waits_for_assets_that_are_still_being_copied_and_says_so(idle: House) -> None:
    europe = WorkspaceScope(idle.scope.subscription, "rg", "europe")
    workspaces.create(idle.hub, OWNER, europe, {"location": "westeurope"})
    code = AssetRef(REGISTRY, CODE, "src", "1")
    upload = idle.upload("src", {"main.py": b"print('here')\n"})
    long = upload.replace(
        "azureml://", f"azureml://subscriptions/{idle.scope.subscription}/resourcegroups/rg/workspaces/dev/"
    )
    catalog.create(idle.hub, OWNER, code, {"codeUri": long})
    component = idle.component("run", "python main.py", scope=REGISTRY, code=code.id)
    idle.scope = europe
    idle.start(replicates=False)
    idle.pipeline("p", {"a": {"component": component}})
    node = idle.nodes("p")["a"]["name"]
    idle.until(lambda: "waiting for" in idle.job(node)["entrepot"].get("statusMessage", ""), what="the message")
    assert "westeurope" in idle.log(node)
    copying = work.Workers(idle.hub, {replication.QUEUE: replication.replicate}, {}, owner="copies")
    copying.start()
    try:
        assert idle.finish("p")["properties"]["status"] == "Completed"
    finally:
        copying.stop()
    assert idle.log(node).endswith("here\n")


def test_submitting_needs_the_right_to_submit_and_to_read_what_is_used(idle: House) -> None:
    idle.component("append", APPEND, scope=REGISTRY, **COPY)
    ann = Principal("22222222-2222-2222-2222-222222222222", "Ann")
    body = {
        "jobType": "Pipeline",
        "jobs": {"a": {"component": "azureml://registries/contoso/components/append/versions/1"}},
    }
    with pytest.raises(AccessDenied, match="workspaces/jobs/write"):
        idle.submit("p", body, principal=ann)
    assignments.assign(idle.hub, OWNER, role="AzureML Data Scientist", assignee=ann.id, scope=idle.scope.arm_id)
    with pytest.raises(NotFound, match="no registry 'contoso' that Ann"):
        idle.submit("p", body, principal=ann)
    assignments.assign(idle.hub, OWNER, role="AzureML Registry User", assignee=ann.id, scope="/")
    assert idle.submit("p", body, principal=ann)["systemData"]["createdBy"] == "Ann"


def test_what_may_change_of_a_job_changes_and_archived_jobs_are_not_listed(idle: House) -> None:
    idle.command("j", "true", tags={"a": "1"})
    submission.update(idle.hub, OWNER, idle.scope, "j", {"displayName": "New", "tags": {"b": "2"}})
    properties = idle.job("j")["properties"]
    assert properties["displayName"] == "New"
    assert properties["tags"] == {"a": "1", "b": "2"}
    submission.archive(idle.hub, OWNER, idle.scope, "j")
    assert not queries.list_(idle.hub, OWNER, idle.scope).documents
    assert len(queries.list_(idle.hub, OWNER, idle.scope, view=View.ARCHIVED).documents) == 1
    submission.archive(idle.hub, OWNER, idle.scope, "j", is_archived=False)
    assert len(queries.list_(idle.hub, OWNER, idle.scope).documents) == 1


def test_a_job_is_deleted_with_its_nodes_once_it_has_ended(idle: House) -> None:
    append = idle.component("append", APPEND, **COPY)
    idle.pipeline("p", {"a": step(append)})
    node = idle.nodes("p")["a"]["name"]
    with pytest.raises(StateConflict, match="cancel it first"):
        submission.delete(idle.hub, OWNER, idle.scope, "p")
    idle.start()
    idle.finish("p")
    submission.delete(idle.hub, OWNER, idle.scope, "p")
    for name in ("p", node):
        with pytest.raises(NotFound):
            idle.job(name)


def test_a_pipeline_of_a_deleted_ones_name_begins_anew(house: House) -> None:
    failing = house.component("failing", "exit 4", **COPY)
    house.pipeline("p", {"a": step(failing)})
    assert house.finish("p")["properties"]["status"] == "Failed"
    session = Session(house.hub, OWNER, house.scope)
    history.log_metric(session, {"run_id": "p", "key": "loss", "value": 1.0, "timestamp": 1})
    submission.delete(house.hub, OWNER, house.scope, "p")
    append = house.component("append", APPEND, **COPY)
    house.pipeline("p", {"a": step(append)})
    body = house.finish("p")
    assert body["properties"]["status"] == "Completed", body["properties"].get("error")
    assert house.status(house.nodes("p")["a"]["name"]) == "Completed"
    assert history.values_of(house.hub, house.scope, "p", "loss") == []


def test_run_history_tells_the_same_story(house: House) -> None:
    append = house.component("append", "exit 4", **COPY)
    house.pipeline("p", {"a": step(append)})
    house.finish("p")
    child = house.nodes("p")["a"]["name"]
    run = queries.run(queries.get(house.hub, OWNER, house.scope, child))
    assert (run["parentRunId"], run["rootRunId"], run["runType"]) == ("p", "p", "azureml.StepRun")
    assert run["status"] == "Failed"
    assert run["error"]["error"]["code"] == "UserError"
    details = queries.details(queries.get(house.hub, OWNER, house.scope, child))
    assert list(details["logFiles"]) == ["user_logs/std_log.txt"]
    assert list(queries.details(queries.get(house.hub, OWNER, house.scope, "p"))["logFiles"]) == [
        "logs/azureml/executionlogs.txt"
    ]


def test_a_pipeline_component_is_submitted_as_a_job(house: House) -> None:
    append = house.component("append", APPEND, scope=REGISTRY, **COPY)
    nested = house.component("whole", "", scope=REGISTRY, type="pipeline", jobs={"x": step(append)})
    house.submit("p", {"jobType": "Pipeline", "componentId": nested})
    assert house.finish("p")["properties"]["status"] == "Completed"
    assert catalog.ref_of({"id": house.job("p")["entrepot"]["componentId"]}).kind is COMPONENT


def test_outputs_of_pipelines_and_of_reused_steps_become_assets(house: House) -> None:
    append = house.component("append", APPEND, **COPY)
    named = {"o": {"jobOutputType": "uri_folder", "name": "inner"}}
    exported = {"o": "${{parent.outputs.whole}}"}
    jobs = {"a": {**step(append, "one"), "outputs": named}, "b": {**step(append, "two", "a"), "outputs": exported}}
    whole = {"whole": {"jobOutputType": "uri_folder", "assetName": "outer", "assetVersion": "9"}}
    for name in ("first", "second"):
        house.pipeline(name, jobs, outputs=whole)
        assert house.finish(name)["properties"]["status"] == "Completed"
    assert house.nodes("second")["a"]["entrepot"]["reuse"]["reused"] is True
    found = catalog.get(house.hub, OWNER, AssetRef(house.scope, DATA, "outer", "9")).body["properties"]
    assert found["dataType"] == "uri_folder"
    versions = catalog.versions(house.hub, OWNER, house.scope, DATA, "inner").documents
    assert sorted(document.body["name"] for document in versions) == ["1", "2"]


def test_a_pipeline_whose_output_cannot_become_the_asset_fails_and_says_why(house: House) -> None:
    append = house.component("append", APPEND, **COPY)
    jobs = {"a": {**step(append, "one"), "outputs": {"o": "${{parent.outputs.whole}}"}}}
    whole = {"whole": {"jobOutputType": "uri_folder", "assetName": "outer", "assetVersion": "9"}}
    house.pipeline("first", jobs, outputs=whole)
    house.finish("first")
    house.pipeline("other", {"a": {**jobs["a"], **step(append, "two")}}, outputs=whole)
    error = house.finish("other")["properties"]["error"]
    assert "outer:9 already exists" in error["message"]
