"""What users of MLflow's tracking do in a day: runs, metrics, searches, artifacts, datasets, logged models, traces."""

import os
import tempfile
import time
from pathlib import Path

import mlflow
import pandas
from azure.ai.ml.entities import Model
from checks import home, refused, run, same
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

ML = home("tracking")
mlflow.set_tracking_uri(ML.workspaces.get(ML.workspace_name).mlflow_tracking_uri)


def check_experiments() -> None:
    client = MlflowClient()
    id = client.create_experiment("one", tags={"a": "b"})
    found = client.get_experiment(id)
    same((found.name, found.lifecycle_stage, found.tags["a"]), ("one", "active", "b"))
    same(client.get_experiment_by_name("one").experiment_id, id)
    client.set_experiment_tag(id, "c", "d")
    same(client.get_experiment(id).tags["c"], "d")
    client.create_experiment("two")
    same([e.name for e in client.search_experiments(filter_string="name LIKE 'on%'")], ["one"])
    assert {"one", "two"} <= {e.name for e in client.search_experiments(order_by=["name ASC"], max_results=100)}
    same([e.name for e in client.search_experiments(filter_string="tags.a = 'b'")], ["one"])
    client.rename_experiment(id, "uno")
    same(client.get_experiment(id).name, "uno")
    client.delete_experiment(id)
    same([e.name for e in client.search_experiments(view_type=ViewType.DELETED_ONLY)], ["uno"])
    client.restore_experiment(id)
    with refused(MlflowException, "RESOURCE_ALREADY_EXISTS"):
        client.create_experiment("two")


def check_runs_metrics_params_tags() -> None:
    mlflow.set_experiment("runs")
    with mlflow.start_run(run_name="first", tags={"k": "v"}, description="words") as begun:
        mlflow.log_param("p", 1)
        mlflow.log_params({f"q{i}": i for i in range(150)})
        for step in range(20):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"acc": 0.5, "nan": float("nan"), "inf": float("inf")}, step=3)
        mlflow.set_tags({"x": "y", "long": "z" * 4000})
        mlflow.log_metric("async", 1.0, synchronous=False)
    client = MlflowClient()
    found = client.get_run(begun.info.run_id)
    same(
        (found.info.status, found.info.run_name, found.data.tags["mlflow.note.content"]), ("FINISHED", "first", "words")
    )
    same((found.data.params["p"], found.data.params["q149"], found.data.metrics["loss"]), ("1", "149", 0.05))
    assert found.data.metrics["nan"] != found.data.metrics["nan"] and found.data.metrics["inf"] > 1e300
    history = client.get_metric_history(begun.info.run_id, "loss")
    same([m.step for m in history], list(range(20)))
    now = int(time.time() * 1000)
    client.log_batch(
        begun.info.run_id,
        metrics=[Metric("many", float(i), now + i, i) for i in range(1000)],
        params=[Param("late", "1")],
        tags=[RunTag("l", "t")],
    )
    same(len(client.get_metric_history(begun.info.run_id, "many")), 1000)
    client.delete_tag(begun.info.run_id, "x")
    assert "x" not in client.get_run(begun.info.run_id).data.tags
    with refused(MlflowException, "INVALID_PARAMETER_VALUE"):
        client.log_param(begun.info.run_id, "p", "2")
    client.update_run(begun.info.run_id, name="renamed", status="FAILED")
    same(
        (client.get_run(begun.info.run_id).info.run_name, client.get_run(begun.info.run_id).info.status),
        ("renamed", "FAILED"),
    )
    client.delete_run(begun.info.run_id)
    same(client.get_run(begun.info.run_id).info.lifecycle_stage, "deleted")
    client.restore_run(begun.info.run_id)


def check_search() -> None:
    mlflow.set_experiment("search")
    for i in range(12):
        with mlflow.start_run(run_name=f"r{i:02d}"):
            mlflow.log_metric("m", i)
            mlflow.log_param("group", "even" if i % 2 == 0 else "odd")
            mlflow.set_tag("t", f"v{i}")

    def names(**more):
        return [r.info.run_name for r in mlflow.search_runs(output_format="list", **more)]

    same(names(filter_string="metrics.m > 8 and params.group = 'even'"), ["r10"])
    same(names(filter_string="metrics.m >= 10", order_by=["metrics.m DESC"]), ["r11", "r10"])
    same(names(filter_string="tags.t IN ('v1', 'v2')", order_by=["attributes.start_time ASC"]), ["r01", "r02"])
    same(
        names(
            filter_string="attributes.run_name LIKE 'r0%' and params.group != 'odd'",
            order_by=["tags.t ASC"],
            max_results=2,
        ),
        ["r00", "r02"],
    )
    same(names(filter_string="attributes.status = 'RUNNING'"), [])
    frame = mlflow.search_runs(experiment_names=["search"], order_by=["metrics.m"])
    same(list(frame["metrics.m"]), [float(i) for i in range(12)])
    same(list(frame["params.group"])[:2], ["even", "odd"])
    client = MlflowClient()
    id = client.get_experiment_by_name("search").experiment_id
    page = client.search_runs([id], max_results=5, order_by=["metrics.m ASC"])
    seen = [r.info.run_name for r in page]
    while page.token:
        page = client.search_runs([id], max_results=5, order_by=["metrics.m ASC"], page_token=page.token)
        seen += [r.info.run_name for r in page]
    same(seen, [f"r{i:02d}" for i in range(12)])
    with refused(MlflowException, "INVALID_PARAMETER_VALUE"):
        client.search_runs([id], filter_string="nonsense ~ 3")
    same(mlflow.last_active_run().info.run_name, "r11")


def check_artifacts() -> None:
    mlflow.set_experiment("artifacts")
    with tempfile.TemporaryDirectory() as scratch, mlflow.start_run() as begun:
        folder = Path(scratch)
        (folder / "sub").mkdir()
        (folder / "a.txt").write_text("A")
        (folder / "sub" / "b.txt").write_text("B")
        (folder / "big.bin").write_bytes(os.urandom(1 << 20) * 30)
        mlflow.log_artifact(folder / "a.txt")
        mlflow.log_artifacts(folder, "all")
        mlflow.log_text("text", "words/t.txt")
        mlflow.log_dict({"a": 1}, "d.json")
        mlflow.log_table(pandas.DataFrame({"a": [1, 2]}), "table.json")
        client = MlflowClient()
        id = begun.info.run_id
        same(sorted(f.path for f in client.list_artifacts(id)), ["a.txt", "all", "d.json", "table.json", "words"])
        same(
            sorted((f.path, f.is_dir) for f in client.list_artifacts(id, "all")),
            [("all/a.txt", False), ("all/big.bin", False), ("all/sub", True)],
        )
        same({f.path: f.file_size for f in client.list_artifacts(id, "all")}["all/big.bin"], 30 << 20)
        same(mlflow.artifacts.load_text(f"runs:/{id}/words/t.txt"), "text")
        same(mlflow.artifacts.load_dict(f"runs:/{id}/d.json"), {"a": 1})
        same(list(mlflow.load_table("table.json", run_ids=[id])["a"]), [1, 2])
        target = Path(mlflow.artifacts.download_artifacts(run_id=id, artifact_path="all", dst_path=scratch + "/got"))
        same((target / "big.bin").read_bytes() == (folder / "big.bin").read_bytes(), True)
        same((target / "sub" / "b.txt").read_text(), "B")


def check_nested_runs_and_datasets() -> None:
    mlflow.set_experiment("nested")
    with mlflow.start_run(run_name="parent") as parent:
        for i in range(3):
            with mlflow.start_run(run_name=f"child{i}", nested=True):
                mlflow.log_metric("x", i)
        data = mlflow.data.from_pandas(
            pandas.DataFrame({"a": [1, 2]}), source="somewhere.csv", name="mine", targets="a"
        )
        mlflow.log_input(data, context="training", tags={"k": "v"})
    found = mlflow.search_runs(filter_string=f"tags.mlflow.parentRunId = '{parent.info.run_id}'", output_format="list")
    same(sorted(r.info.run_name for r in found), ["child0", "child1", "child2"])
    inputs = mlflow.get_run(parent.info.run_id).inputs.dataset_inputs
    same([(i.dataset.name, i.dataset.digest == data.digest) for i in inputs], [("mine", True)])
    same({t.key: t.value for t in inputs[0].tags}["mlflow.data.context"], "training")
    with mlflow.start_run(run_id=parent.info.run_id):
        mlflow.log_metric("again", 1)
    same(mlflow.get_run(parent.info.run_id).data.metrics["again"], 1.0)
    mlflow.search_runs(filter_string="datasets.name = 'mine'", output_format="list")


def check_logged_models() -> None:
    mlflow.set_experiment("models")

    class Add(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return model_input["x"] + 1

    with mlflow.start_run() as begun:
        signature = mlflow.models.infer_signature(pandas.DataFrame({"x": [1]}), pandas.Series([2]))
        info = mlflow.pyfunc.log_model(
            name="adder",
            python_model=Add(),
            signature=signature,
            input_example=pandas.DataFrame({"x": [1]}),
            pip_requirements=["pandas"],
            params={"depth": 3},
        )
        mlflow.log_metric("rmse", 0.5, model_id=info.model_id)
    model = mlflow.get_logged_model(info.model_id)
    same((model.name, model.params["depth"], str(model.status)), ("adder", "3", "READY"))
    same({m.key: m.value for m in model.metrics}["rmse"], 0.5)
    same(list(mlflow.pyfunc.load_model(info.model_uri).predict(pandas.DataFrame({"x": [1, 2]}))), [2, 3])
    same(list(mlflow.pyfunc.load_model(f"runs:/{begun.info.run_id}/adder").predict(pandas.DataFrame({"x": [1]}))), [2])
    found = mlflow.search_logged_models(experiment_ids=[begun.info.experiment_id], output_format="list")
    same([m.model_id for m in found], [info.model_id])
    mlflow.set_logged_model_tags(info.model_id, {"t": "1"})
    same(mlflow.get_logged_model(info.model_id).tags["t"], "1")
    mlflow.delete_logged_model_tag(info.model_id, "t")
    with mlflow.start_run():
        external = mlflow.create_external_model(name="ext")
    same(mlflow.get_logged_model(external.model_id).name, "ext")
    MlflowClient().delete_logged_model(external.model_id)


def check_metrics_after_a_run_ended() -> None:
    mlflow.set_experiment("late")
    with mlflow.start_run() as begun:
        pass
    client = MlflowClient()
    client.log_metric(begun.info.run_id, "after", 3.0)
    client.set_tag(begun.info.run_id, "after", "yes")
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "late.txt")
        file.write_text("late")
        client.log_artifact(begun.info.run_id, file)
    found = client.get_run(begun.info.run_id)
    same((found.data.metrics["after"], found.data.tags["after"], found.info.status), (3.0, "yes", "FINISHED"))


def check_states_of_runs() -> None:
    mlflow.set_experiment("more")
    with mlflow.start_run(log_system_metrics=False) as begun:
        pass
    client = MlflowClient()
    client.set_terminated(begun.info.run_id, "KILLED")
    same(client.get_run(begun.info.run_id).info.status, "KILLED")
    same(client.get_parent_run(begun.info.run_id), None)


def check_traces() -> None:
    experiment = mlflow.set_experiment("traces").experiment_id

    @mlflow.trace(attributes={"a": 1})
    def traced(x):
        with mlflow.start_span("inner") as span:
            span.set_inputs({"x": x})
        return x + 1

    same((traced(1), traced(2)), (2, 3))
    mlflow.flush_trace_async_logging()
    newest, first = mlflow.search_traces(return_type="list")
    same([span.name for span in newest.data.spans], ["traced", "inner"])
    client = MlflowClient()
    client.set_trace_tag(first.info.trace_id, "kind", "old")
    found = mlflow.search_traces(filter_string="tag.kind = 'old' AND trace.status = 'OK'", return_type="list")
    same([each.info.trace_id for each in found], [first.info.trace_id])
    feedback = mlflow.log_feedback(trace_id=first.info.trace_id, name="good", value=True, rationale="seen")
    told = mlflow.get_trace(first.info.trace_id)
    same([(each.name, each.value, each.rationale) for each in told.info.assessments], [("good", True, "seen")])
    better = mlflow.entities.Feedback(name="good", value=False)
    changed = mlflow.update_assessment(first.info.trace_id, feedback.assessment_id, better)
    same((changed.value, changed.rationale), (False, "seen"))
    mlflow.delete_assessment(first.info.trace_id, feedback.assessment_id)
    same(mlflow.get_trace(first.info.trace_id).info.assessments, [])
    client.delete_trace_tag(first.info.trace_id, "kind")
    same(client.delete_traces(experiment, trace_ids=[first.info.trace_id]), 1)
    same([each.info.trace_id for each in mlflow.search_traces(return_type="list")], [newest.info.trace_id])
    same(client.delete_traces(experiment, max_timestamp_millis=int(time.time() * 1000) + 1000), 1)


def check_a_run_is_a_job_of_its_experiment() -> None:
    mlflow.set_experiment("interactive")
    with mlflow.start_run(run_name="laptop", tags={"team": "blue"}) as begun:
        mlflow.log_metric("m", 1)
        mlflow.log_text("weights", "net/w.txt")
        with mlflow.start_run(run_name="inner", nested=True):
            pass
    run = begun.info.run_id
    job = ML.jobs.get(run)
    same((job.status, job.display_name, job.experiment_name), ("Completed", "laptop", "interactive"))
    same(job.tags, {"team": "blue"})
    assert run in [each.name for each in ML.jobs.list()]
    same([each.display_name for each in ML.jobs.list(parent_job_name=run)], ["inner"])
    ML.jobs.stream(run)
    target = tempfile.mkdtemp()
    ML.jobs.download(run, download_path=target)
    same((Path(target) / "artifacts" / "net" / "w.txt").read_text(), "weights")
    job.tags["stage"], job.description = "done", "why"
    changed = ML.jobs.create_or_update(job)
    same((changed.tags["stage"], changed.description), ("done", "why"))
    same(mlflow.get_run(run).data.tags["stage"], "done")
    ML.jobs.archive(run)
    assert run not in [each.name for each in ML.jobs.list()]
    same(mlflow.get_run(run).info.lifecycle_stage, "deleted")
    ML.jobs.restore(run)
    assert run in [each.name for each in ML.jobs.list()]
    open_run = MlflowClient().create_run(begun.info.experiment_id)
    ML.jobs.begin_cancel(open_run.info.run_id).result()
    same(mlflow.get_run(open_run.info.run_id).info.status, "KILLED")


def check_prompts() -> None:
    client = MlflowClient()
    made = client.register_prompt(name="greeting", template="Hello {{name}}", commit_message="first", tags={"a": "b"})
    same(made.version, 1)
    same(client.load_prompt("prompts:/greeting/1").format(name="you"), "Hello you")
    same(client.register_prompt(name="greeting", template="Bye {{name}}").version, 2)
    client.set_prompt_alias("greeting", "prod", 1)
    same(client.load_prompt("prompts:/greeting@prod").template, "Hello {{name}}")
    same([each.name for each in client.search_prompts()], ["greeting"])
    assert "greeting" not in [each.name for each in client.search_registered_models()]
    target = tempfile.mkdtemp()
    ML.models.download("greeting", "2", download_path=target)
    same([file.read_text() for file in Path(target).rglob("prompt.txt")], ["Bye {{name}}"])
    client.delete_prompt_version("greeting", "2")
    client.delete_prompt("greeting")


def check_runs_become_models_of_the_workspace() -> None:
    mlflow.set_experiment("runs-to-models")
    with mlflow.start_run() as begun:
        mlflow.log_text("weights", "net/w.txt")
    run = begun.info.run_id
    for path in (f"runs:/{run}/net", f"azureml://jobs/{run}/outputs/artifacts/paths/net/"):
        made = ML.models.create_or_update(Model(name="of-run", path=path, type="custom_model"))
        target = tempfile.mkdtemp()
        ML.models.download("of-run", made.version, download_path=target)
        same([file.read_text() for file in Path(target).rglob("w.txt")], ["weights"])
        same(made.job_name, run)
    with refused(Exception, "nothing"):
        ML.models.create_or_update(Model(name="of-run", path=f"runs:/{run}/elsewhere", type="custom_model"))
    client = MlflowClient()
    client.create_registered_model("zebra")
    names = [each.name for each in client.search_registered_models(order_by=["name DESC"])]
    same(names, sorted(names, reverse=True))


if __name__ == "__main__":
    run(globals())
