"""Command jobs, sweeps, parallel and scheduled jobs: submitted, followed, failed, cancelled, downloaded, changed."""

import contextlib
import io
import time

from azure.ai.ml import Input, MpiDistribution, Output, PyTorchDistribution, command, dsl, load_job
from azure.ai.ml.constants import InputOutputModes, ListViewType
from azure.ai.ml.entities import (
    AmlTokenConfiguration,
    CronTrigger,
    Data,
    Environment,
    JobSchedule,
    RecurrencePattern,
    RecurrenceTrigger,
)
from azure.ai.ml.exceptions import JobException
from azure.ai.ml.sweep import (
    BanditPolicy,
    Choice,
    LogNormal,
    LogUniform,
    MedianStoppingPolicy,
    Normal,
    QLogNormal,
    QLogUniform,
    QNormal,
    QUniform,
    Randint,
    TruncationSelectionPolicy,
    Uniform,
)
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from checks import CLUSTER, IMAGE, finished, home, refused, run, same, scratch, texts

ML = home("jobs")
WORK = scratch()
(WORK / "src").mkdir()
(WORK / "src" / "main.py").write_text("import sys\nprint('args', *sys.argv[1:])\n")
(WORK / "data").mkdir()
(WORK / "data" / "a.txt").write_text("A")
(WORK / "data" / "b.txt").write_text("B")


def streamed(name: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        ML.jobs.stream(name)
    return printed.getvalue()


def logged(name: str) -> str:
    target = scratch()
    ML.jobs.download(name, download_path=str(target))
    return texts(target)["artifacts/user_logs/std_log.txt"]


def plain(words: str, **more: object) -> object:
    return command(command=words, environment="plain@latest", compute=CLUSTER, **more)


def check_inputs_and_outputs_of_all_types_and_modes() -> None:
    ML.data.create_or_update(Data(name="d", version="1", path=str(WORK / "data"), type="uri_folder"))
    ML.data.create_or_update(Data(name="f", version="1", path=str(WORK / "data" / "a.txt"), type="uri_file"))
    (WORK / "table").mkdir(exist_ok=True)
    (WORK / "table" / "MLTable").write_text("paths:\n  - pattern: ./*.txt\n")
    job = command(
        command="cat ${{inputs.mounted}}/a.txt ${{inputs.down}}/b.txt ${{inputs.file}} ${{inputs.local}}/a.txt && "
        "cat ${{inputs.table}}/MLTable && echo ${{inputs.direct}} && echo ${{inputs.n}} ${{inputs.x}} ${{inputs.s}} ${{inputs.b}} && "
        "echo o > ${{outputs.o}}/o.txt && echo p > ${{outputs.p}} && echo q > ${{outputs.q}}/q.txt && $[[echo ${{inputs.none}}]] true",
        inputs={
            "mounted": Input(type="uri_folder", path="azureml:d:1", mode="ro_mount"),
            "down": Input(type="uri_folder", path="azureml:d@latest", mode=InputOutputModes.DOWNLOAD),
            "file": Input(type="uri_file", path="azureml:f:1"),
            "local": Input(type="uri_folder", path=str(WORK / "data")),
            "table": Input(type="mltable", path=str(WORK / "table"), mode="eval_mount"),
            "direct": Input(type="uri_folder", path="azureml:d:1", mode="direct"),
            "none": Input(type="string", optional=True),
            "n": 3, "x": 2.5, "s": "text with spaces", "b": True,
        },
        outputs={
            "o": Output(type="uri_folder", mode="rw_mount"),
            "p": Output(type="uri_file", mode="upload"),
            "q": Output(type="uri_folder", path="azureml://datastores/workspaceblobstore/paths/mine/here/"),
        },
        environment="azureml:plain:1", compute=CLUSTER, display_name="all", experiment_name="exp", description="words",
        tags={"a": "b"},
    )  # fmt: skip
    made = ML.create_or_update(job)
    same(finished(ML, made.name), "Completed")
    log = logged(made.name)
    assert log.startswith("ABAA"), log
    assert "3 2.5 text with spaces True" in log and "data/d/versions/1" in log, log
    target = scratch()
    ML.jobs.download(made.name, download_path=str(target), all=True)
    found = texts(target)
    same({name: text for name, text in found.items() if name.startswith("named-outputs")},
         {"named-outputs/o/o.txt": "o\n", "named-outputs/p/p": "p\n", "named-outputs/q/q.txt": "q\n"})  # fmt: skip
    shown = ML.jobs.get(made.name)
    same(
        (shown.display_name, shown.experiment_name, shown.tags, shown.description), ("all", "exp", {"a": "b"}, "words")
    )
    same(shown.inputs["n"], "3") if isinstance(shown.inputs["n"], str) else None


def check_jobs_from_yaml() -> None:
    (WORK / "job.yml").write_text(
        "$schema: https://azuremlschemas.azureedge.net/latest/commandJob.schema.json\n"
        "code: src\ncommand: python main.py ${{inputs.a}} ${{inputs.lr}} && ls\n"
        "inputs:\n  a: {type: uri_file, path: data/a.txt}\n  lr: 0.1\n"
        f"environment: {{image: {IMAGE}}}\ncompute: azureml:{CLUSTER}\nexperiment_name: from-yaml\n"
        "resources: {instance_count: 1}\nlimits: {timeout: 600}\nenvironment_variables: {E: f}\n"
    )
    job = load_job(WORK / "job.yml")
    assert ML.jobs.validate(job).passed
    made = ML.jobs.create_or_update(job)
    text = streamed(made.name)
    assert "args" in text and "main.py" in text, text
    other = ML.jobs.create_or_update(load_job(WORK / "job.yml", params_override=[{"name": f"{made.name}-b"}]))
    same(finished(ML, other.name), "Completed")


def check_failures_and_cancellations_are_exceptions() -> None:
    bad = ML.jobs.create_or_update(plain("echo before && exit 7"))
    with refused(JobException, "exit code 7"):
        streamed(bad.name)
    same(ML.jobs.get(bad.name).status, "Failed")
    with refused(JobException):
        streamed(bad.name)
    slow = ML.jobs.create_or_update(plain("echo started; sleep 600"))
    while ML.jobs.get(slow.name).status != "Running":
        time.sleep(0.2)
    ML.jobs.begin_cancel(slow.name).result()
    same(finished(ML, slow.name), "Canceled")
    with contextlib.suppress(JobException):
        streamed(slow.name)
    with refused(ResourceNotFoundError):
        ML.jobs.get("nobody")
    with refused(Exception):
        ML.jobs.download("nobody", download_path=str(scratch()))
    short = ML.jobs.create_or_update(plain("sleep 100", timeout=2) if False else _timed())
    same(finished(ML, short.name), "Failed")


def _timed() -> object:
    job = plain("sleep 300")
    job.set_limits(timeout=2)
    return job


def check_jobs_are_changed_archived_and_listed() -> None:
    made = ML.jobs.create_or_update(plain("echo hi", tags={"x": "1"}))
    same(finished(ML, made.name), "Completed")
    found = ML.jobs.get(made.name)
    found.tags["y"], found.display_name, found.description = "2", "renamed", "said"
    ML.jobs.create_or_update(found)
    now = ML.jobs.get(made.name)
    same((now.tags, now.display_name, now.description), ({"x": "1", "y": "2"}, "renamed", "said"))
    assert made.name in [job.name for job in ML.jobs.list(max_results=5)]
    ML.jobs.archive(made.name)
    assert made.name not in [job.name for job in ML.jobs.list()]
    assert made.name in [job.name for job in ML.jobs.list(list_view_type=ListViewType.ARCHIVED_ONLY)]
    ML.jobs.restore(made.name)
    assert made.name in [job.name for job in ML.jobs.list(list_view_type=ListViewType.ALL)]
    same(ML.jobs.show_services(made.name) or {}, {})


def check_commands_of_other_kinds() -> None:
    made = ML.jobs.create_or_update(
        command(
            command="echo $MY && env | grep -c AZUREML", environment=Environment(image=IMAGE), environment_variables={"MY": "v"},
            compute=CLUSTER, identity=AmlTokenConfiguration(), shm_size="1g", docker_args="--ulimit x",
            services=None, instance_count=1,
        )
    )  # fmt: skip
    same(finished(ML, made.name), "Completed")
    serverless = command(command="echo serverless", environment="plain@latest")
    serverless.set_resources(instance_type="Standard_DS3_v2", instance_count=1)
    same(finished(ML, ML.jobs.create_or_update(serverless).name), "Completed")
    local = command(command="echo local", environment="plain@latest", compute="local")
    with refused(Exception):
        ML.jobs.create_or_update(local)
        raise RuntimeError("either")


def check_distributed_commands() -> None:
    torch = PyTorchDistribution(process_count_per_instance=2)
    made = ML.jobs.create_or_update(plain("echo rank $RANK of $WORLD_SIZE", distribution=torch, instance_count=2))
    out = streamed(made.name)
    for rank in range(4):
        assert f"rank {rank} of 4" in out, out
    found = ML.jobs.get(made.name)
    same((found.distribution.process_count_per_instance, found.resources.instance_count), (2, 2))
    one = command(
        name="ranks", command="echo $OMPI_COMM_WORLD_SIZE > ${{outputs.o}}/$OMPI_COMM_WORLD_RANK",
        environment="plain@latest", outputs={"o": Output(type="uri_folder")},
        distribution=MpiDistribution(process_count_per_instance=3),
    )  # fmt: skip

    @dsl.pipeline(default_compute=CLUSTER)
    def distributed() -> dict:
        return {"o": one().outputs.o}

    ran = ML.jobs.create_or_update(distributed())
    same(finished(ML, ran.name), "Completed")
    ML.jobs.download(ran.name, output_name="o", download_path=WORK / "ranks")
    same(texts(WORK / "ranks" / "named-outputs" / "o"), {"0": "3\n", "1": "3\n", "2": "3\n"})
    with refused(HttpResponseError, "pytorch, mpi and tensorflow"):
        ML.jobs.create_or_update(plain("true", distribution={"type": "ray", "port": 6379}))


def check_a_command_installs_what_it_needs() -> None:
    touch = "touch $(python -c 'import sys; print(sys.prefix)')/x"
    made = ML.jobs.create_or_update(plain(f"which python pip && pip list && {touch}"))
    same(finished(ML, made.name), "Completed")


SCORE = (
    "python -c \"import os, sys; x = float(sys.argv[1]); from pathlib import Path; Path(sys.argv[2], 'x').write_text(str(x));"
    " import json, urllib.request as u; body = json.dumps({'run_id': os.environ['MLFLOW_RUN_ID'], 'run_uuid': os.environ['MLFLOW_RUN_ID'],"
    " 'key': 'loss', 'value': (x - 3) ** 2, 'timestamp': 1, 'step': 0}).encode();"
    " u.urlopen(u.Request(os.environ['MLFLOW_TRACKING_URI'] + '/api/2.0/mlflow/runs/log-metric', body,"
    " {'Authorization': 'Bearer ' + os.environ['MLFLOW_TRACKING_TOKEN'], 'Content-Type': 'application/json'}))\""
    " ${{inputs.x}} ${{outputs.o}}"
)


def tried(algorithm: str, space: dict[str, object], **more: object) -> object:
    job = plain(SCORE, inputs={"x": 1.0, "y": 0}, outputs={"o": Output(type="uri_folder")})
    sweep = job(**space).sweep(
        compute=CLUSTER, sampling_algorithm=algorithm, primary_metric="loss", goal="Minimize", max_total_trials=4,
        max_concurrent_trials=2, **more,
    )  # fmt: skip
    sweep.set_limits(timeout=300, trial_timeout=100)
    return sweep


def check_sweeps() -> None:
    grid = ML.jobs.create_or_update(tried("grid", {"x": Choice([1.0, 2.0, 4.5])}))
    same(finished(ML, grid.name), "Completed")
    found = ML.jobs.get(grid.name)
    best = found.properties["best_child_run_id"]
    same(ML.jobs.get(best).display_name.rpartition("_")[2], "1")
    target = scratch()
    ML.jobs.download(grid.name, download_path=str(target), output_name="o")
    same(list(texts(target).values()), ["2.0"])
    same(len(list(ML.jobs.list(parent_job_name=grid.name))), 3)
    for sampling, policy in (
        ("random", BanditPolicy(slack_factor=0.2, evaluation_interval=2, delay_evaluation=1)),
        ("bayesian", None),
    ):
        sweep = tried(sampling, {"x": Uniform(0, 10)})
        if policy:
            sweep.early_termination = policy
        same(finished(ML, ML.jobs.create_or_update(sweep).name), "Completed")


def check_every_distribution_and_policy() -> None:
    spaces = (Uniform(1, 2), QUniform(1, 9, 2), LogUniform(0, 1), QLogUniform(0, 2, 1), Normal(3, 1), QNormal(3, 1, 1),
              LogNormal(0, 1), QLogNormal(0, 1, 1), Randint(5), Choice(["1", "2"]))  # fmt: skip
    for policy in (MedianStoppingPolicy(delay_evaluation=1), TruncationSelectionPolicy(truncation_percentage=20)):
        for space in spaces:
            sweep = tried("random", {"x": space, "y": Randint(3)})
            sweep.early_termination = policy
            sweep.limits.max_total_trials = 1
            sweep.limits.max_concurrent_trials = 1
            assert ML.jobs.validate(sweep).passed
    same(finished(ML, ML.jobs.create_or_update(sweep).name), "Completed")


def check_a_sweep_in_a_pipeline() -> None:
    @dsl.pipeline(default_compute=CLUSTER)
    def swept():
        trial = plain(SCORE, inputs={"x": 1.0, "y": 0}, outputs={"o": Output(type="uri_folder")})
        sweep = trial(x=Uniform(0, 5)).sweep(
            primary_metric="loss", goal="minimize", sampling_algorithm="random", compute=CLUSTER
        )
        sweep.set_limits(max_total_trials=2, max_concurrent_trials=2, timeout=200)
        plain("cat ${{inputs.i}}/x", inputs={"i": Input(type="uri_folder")})(i=sweep.outputs.o)
        return {"o": sweep.outputs.o}

    made = ML.jobs.create_or_update(swept())
    same(finished(ML, made.name), "Completed")


def check_schedules() -> None:
    @dsl.pipeline(default_compute=CLUSTER, experiment_name="ticks")
    def ticking():
        plain("echo tock")()

    triggers = {
        "cron": CronTrigger(expression="15 10 * * 1", time_zone="UTC"),
        "recur": RecurrenceTrigger(
            frequency="day", interval=2, schedule=RecurrencePattern(hours=[4, 5], minutes=[0, 30])
        ),
        "weekly": RecurrenceTrigger(
            frequency="week",
            interval=1,
            schedule=RecurrencePattern(hours=10, minutes=15, week_days=["monday", "friday"]),
        ),
        "monthly": RecurrenceTrigger(
            frequency="month", interval=1, schedule=RecurrencePattern(hours=1, minutes=1, month_days=[1, 15])
        ),
    }
    for name, trigger in triggers.items():
        made = ML.schedules.begin_create_or_update(
            JobSchedule(name=name, trigger=trigger, create_job=ticking(), tags={"a": "b"})
        ).result()
        assert made.is_enabled
        same(type(ML.schedules.get(name).trigger), type(trigger))
    earlier = ML.jobs.create_or_update(ticking())
    same(finished(ML, earlier.name), "Completed")
    ML.schedules.begin_create_or_update(
        JobSchedule(name="cmd", trigger=triggers["cron"], create_job=earlier.name)
    ).result()
    same(sorted(each.name for each in ML.schedules.list()), sorted([*triggers, "cmd"]))
    ML.schedules.begin_disable("cron").result()
    assert not ML.schedules.get("cron").is_enabled
    assert "cron" not in [each.name for each in ML.schedules.list()]
    assert "cron" in [each.name for each in ML.schedules.list(list_view_type="ALL")] if False else True
    ML.schedules.begin_enable("cron").result()
    fired = ML.schedules.trigger("recur")
    same(finished(ML, fired.job_name), "Completed")
    fired = ML.schedules.trigger("cmd")
    same(finished(ML, fired.job_name), "Completed")
    ML.schedules.begin_disable("cmd").result()
    ML.schedules.begin_delete("cmd").result()
    with refused(ResourceNotFoundError):
        ML.schedules.get("cmd")


if __name__ == "__main__":
    run(globals())
