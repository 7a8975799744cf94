"""Components and pipelines: from YAML, functions and registries; nested, anonymous, inline; run and looked at."""

from pathlib import Path

from azure.ai.ml import Input, Output, command, dsl, load_component, load_job
from azure.ai.ml.dsl import pipeline
from azure.ai.ml.entities import CommandComponent, Environment, PipelineJob
from azure.core.exceptions import ResourceNotFoundError
from checks import CLUSTER, IMAGE, SUFFIX, finished, home, refused, registry, run, same, scratch, texts

ML = home("components")
SHARED = registry(ML, "components")
REGISTRY = f"components{SUFFIX}"
WORK = scratch()
(WORK / "src").mkdir()
(WORK / "src" / "add.py").write_text(
    "import argparse, pathlib\n"
    "p = argparse.ArgumentParser()\n"
    "p.add_argument('--table'); p.add_argument('--plus', type=int); p.add_argument('--out'); p.add_argument('--flag')\n"
    "a = p.parse_args()\n"
    "n = sum(int(x) for x in pathlib.Path(a.table).read_text().split()) + a.plus\n"
    "out = pathlib.Path(a.out); out.mkdir(parents=True, exist_ok=True); (out / 'n.txt').write_text(str(n))\n"
    "print('sum', n, a.flag)\n"
)
(WORK / "table.txt").write_text("1 2 3")
ADD = """
$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
type: command
name: {name}
display_name: Add it up
description: adds
version: {version}
tags: {{owner: me}}
inputs:
  table: {{type: uri_file}}
  plus: {{type: integer, default: 4, min: 0, max: 100}}
  flag: {{type: string, optional: true}}
outputs:
  out: {{type: uri_folder}}
code: ./src
environment: {environment}
command: >-
  python add.py --table ${{{{inputs.table}}}} --plus ${{{{inputs.plus}}}} --out ${{{{outputs.out}}}}
  $[[--flag ${{{{inputs.flag}}}}]]
is_deterministic: true
resources: {{instance_count: 1}}
"""
JOIN = """
type: command
name: join
version: 1
inputs:
  one: {type: uri_folder}
  two: {type: uri_folder, optional: true}
  factor: {type: number, default: 1.5}
  active: {type: boolean, default: true}
  how: {type: string, enum: [fast, slow], default: fast}
outputs:
  all: {type: uri_file}
environment: azureml:plain@latest
command: cat ${{inputs.one}}/n.txt $[[${{inputs.two}}/n.txt]] > ${{outputs.all}} && echo ${{inputs.factor}} ${{inputs.active}} ${{inputs.how}}
"""


def add(name: str = "add", version: str = "1", environment: str = "azureml:plain:1") -> CommandComponent:
    path = WORK / f"{name}-{version}.yml"
    path.write_text(ADD.format(name=name, version=version, environment=environment))
    return load_component(path)


def joined() -> CommandComponent:
    (WORK / "join.yml").write_text(JOIN)
    return load_component(WORK / "join.yml")


def table() -> Input:
    return Input(type="uri_file", path=str(WORK / "table.txt"))


def result(job: str, output: str) -> dict[str, str]:
    target = scratch()
    ML.jobs.download(job, download_path=str(target), output_name=output)
    return {Path(name).name: text for name, text in texts(target).items()}


def check_components_are_created_found_and_changed() -> None:
    made = ML.components.create_or_update(add())
    same((made.name, made.version, made.display_name, made.tags), ("add", "1", "Add it up", {"owner": "me"}))
    same(ML.components.create_or_update(add()).id, made.id)
    same({name: (port.type, port.optional) for name, port in made.inputs.items()}["flag"], ("string", True))
    same(ML.components.get("add", label="latest").version, "1")
    same(ML.components.get("add").version, "1")
    found = ML.components.get("add", "1")
    found.description, found.tags["new"], found.display_name = "other words", "tag", "Added"
    ML.components.create_or_update(found)
    now = ML.components.get("add", "1")
    same((now.description, now.tags, now.display_name), ("other words", {"owner": "me", "new": "tag"}, "Added"))
    auto = load_component(WORK / "add-1.yml")
    auto.version = None
    auto.name = "autos"
    same([ML.components.create_or_update(auto, version=None).version for _ in range(1)], ["1"])
    same([each.name for each in ML.components.list() if each.name == "azureml_anonymous"], [])
    for client in (ML, SHARED):
        if client is SHARED:
            client.components.create_or_update(
                add(environment=f"azureml://registries/{REGISTRY}/environments/plain/versions/1")
            )
        client.components.archive("add", version="1")
        same([each.version for each in client.components.list("add")], [] if client is ML else ["1"] if False else [])
        client.components.restore("add", version="1")
        same([each.version for each in client.components.list("add")], ["1"])
    with refused(ResourceNotFoundError):
        ML.components.get("add", "77")
    with refused(Exception):
        changed = add()
        changed.command = "echo other"
        ML.components.create_or_update(changed)


def check_a_pipeline_of_the_registrys_components() -> None:
    environment = f"azureml://registries/{REGISTRY}/environments/plain/versions/1"
    SHARED.components.create_or_update(add("radd", "1", environment))
    SHARED.components.create_or_update(add("radd", "2", environment))
    latest = SHARED.components.get("radd", label="latest")
    same(latest.version, "2")
    loaded = load_component(client=SHARED, name="radd", version="1")
    join = joined()

    @pipeline(
        default_compute=CLUSTER, description="registry", tags={"a": "b"}, experiment_name="reg", display_name="Regs"
    )
    def both(data: Input, plus: int = 7):
        first = latest(table=data, plus=plus, flag="yes")
        second = loaded(table=data)
        second.compute = CLUSTER
        end = join(one=first.outputs.out, two=second.outputs.out, factor=2)
        end.outputs.all.mode = "upload"
        return {"all": end.outputs.all, "first": first.outputs.out}

    job = both(data=table())
    job.settings.force_rerun = True
    made = ML.jobs.create_or_update(job, experiment_name="other", tags={"c": "d"})
    same((made.experiment_name, made.display_name), ("other", "Regs"))
    ML.jobs.stream(made.name)
    same(ML.jobs.get(made.name).status, "Completed")
    same(list(result(made.name, "all").values()), ["1310"])
    same(result(made.name, "first"), {"n.txt": "13"})
    children = {child.display_name: child for child in ML.jobs.list(parent_job_name=made.name)}
    same(sorted(children), ["end", "first", "second"])
    child = ML.jobs.get(children["first"].name)
    same(child.status, "Completed")
    ML.jobs.stream(children["first"].name)
    ML.jobs.download(children["first"].name, all=True, download_path=str(WORK / "child"))
    assert any("sum 13 yes" in text for text in texts(WORK / "child").values()), texts(WORK / "child")
    same(list(result(children["first"].name, "out").values()), ["13"])


def check_a_pipeline_by_inline_components_and_command_nodes() -> None:
    node = command(
        name="shout",
        display_name="Shout",
        inputs={"word": "hey", "n": 3, "x": 1.5, "yes": True},
        outputs={"o": Output(type="uri_folder", mode="rw_mount")},
        command="echo ${{inputs.word}} ${{inputs.n}} ${{inputs.x}} ${{inputs.yes}} $WHO > ${{outputs.o}}/n.txt",
        environment=Environment(image=IMAGE),
        environment_variables={"WHO": "me"},
    )

    @dsl.pipeline(name="inline", compute=CLUSTER)
    def inline(word: str, how: str = "slow"):
        one = node(word=word)
        two = node(word="two", n=5)
        join = joined()(one=one.outputs.o, two=two.outputs.o, how=how)
        return {"o": join.outputs.all}

    made = ML.jobs.create_or_update(inline(word="ho"))
    same(finished(ML, made.name), "Completed")
    same(list(result(made.name, "o").values()), ["ho 3 1.5 True me\ntwo 5 1.5 True me\n"])


def check_nested_pipelines_and_pipeline_components() -> None:
    adder = add("nadd")

    @pipeline()
    def inner(data: Input(type="uri_file"), plus: int = 1):
        """Adds twice."""
        one = adder(table=data, plus=plus)
        two = adder(table=data, plus=2)
        both = joined()(one=one.outputs.out, two=two.outputs.out)
        return {"both": both.outputs.all}

    @pipeline(default_compute=CLUSTER)
    def outer(data: Input(type="uri_file")):
        a = inner(data=data, plus=10)
        b = inner(data=data)
        return {"a": a.outputs.both, "b": b.outputs.both}

    made = ML.jobs.create_or_update(outer(data=table()))
    same(finished(ML, made.name), "Completed")
    same([*result(made.name, "a").values(), *result(made.name, "b").values()], ["168", "78"])

    component = ML.components.create_or_update(
        inner.component if hasattr(inner, "component") else inner._pipeline_builder.build(user_provided_kwargs={})
    )
    found = ML.components.get(component.name, component.version)
    same((found.type, sorted(found.inputs)), ("pipeline", ["data", "plus"]))
    job = (
        PipelineJob(component=found, inputs={"data": table(), "plus": 3}, settings={"default_compute": CLUSTER})
        if False
        else found(data=table(), plus=3)
    )
    job.settings.default_compute = CLUSTER
    made = ML.jobs.create_or_update(job)
    same(finished(ML, made.name), "Completed")
    same(list(result(made.name, "both").values()), ["98"])


def check_pipeline_component_from_yaml_in_a_registry() -> None:
    environment = f"azureml://registries/{REGISTRY}/environments/plain/versions/1"
    SHARED.components.create_or_update(add("yadd", "1", environment))
    (WORK / "pc.yml").write_text(f"""
$schema: https://azuremlschemas.azureedge.net/latest/pipelineComponent.schema.json
type: pipeline
name: twice
version: 1
display_name: Twice
inputs:
  data: {{type: uri_file}}
  plus: {{type: integer, default: 5}}
outputs:
  out: {{type: uri_folder}}
jobs:
  one:
    type: command
    component: azureml://registries/{REGISTRY}/components/yadd/versions/1
    inputs: {{table: "${{{{parent.inputs.data}}}}", plus: "${{{{parent.inputs.plus}}}}"}}
  two:
    type: command
    component: azureml://registries/{REGISTRY}/components/yadd/labels/latest
    inputs: {{table: "${{{{parent.inputs.data}}}}", plus: 2}}
    outputs: {{out: "${{{{parent.outputs.out}}}}"}}
""")
    made = SHARED.components.create_or_update(load_component(WORK / "pc.yml"))
    same((made.type, sorted(made.jobs)), ("pipeline", ["one", "two"]))
    found = SHARED.components.get("twice", "1")

    @pipeline(default_compute=CLUSTER)
    def use(data: Input):
        twice = found(data=data, plus=1)
        return {"out": twice.outputs.out}

    job = ML.jobs.create_or_update(use(data=table()))
    same(finished(ML, job.name), "Completed")
    same(result(job.name, "out"), {"n.txt": "8"})


def check_pipeline_job_from_yaml() -> None:
    ML.components.create_or_update(add("wadd"))
    (WORK / "pipe.yml").write_text(f"""
$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
display_name: From YAML
description: words
experiment_name: yaml
tags: {{a: b}}
settings:
  default_compute: azureml:{CLUSTER}
  default_datastore: azureml:workspaceblobstore
  continue_on_step_failure: false
inputs:
  data: {{type: uri_file, path: ./table.txt}}
  plus: 3
outputs:
  final: {{type: uri_folder, mode: rw_mount}}
jobs:
  short:
    type: command
    component: azureml:wadd:1
    inputs: {{table: {{type: uri_file, path: "${{{{parent.inputs.data}}}}"}}, plus: "${{{{parent.inputs.plus}}}}"}}
    outputs: {{out: "${{{{parent.outputs.final}}}}"}}
  label:
    type: command
    component: azureml:wadd@latest
    inputs: {{table: "${{{{parent.inputs.data}}}}"}}
  file:
    type: command
    component: file:./wadd-1.yml
    inputs: {{table: "${{{{parent.inputs.data}}}}"}}
  inline:
    type: command
    code: ./src
    environment: azureml:plain@latest
    command: ls && cat ${{{{inputs.x}}}}/n.txt
    inputs: {{x: "${{{{parent.jobs.short.outputs.out}}}}"}}
  envs:
    type: command
    environment: {{image: {IMAGE}}}
    command: echo ${{{{inputs.y}}}} > ${{{{outputs.o}}}}
    inputs: {{y: 1}}
    outputs: {{o: {{type: uri_file, path: "azureml://datastores/workspaceblobstore/paths/here/${{{{name}}}}/y.txt"}}}}
""")
    job = load_job(WORK / "pipe.yml")
    report = ML.jobs.validate(job)
    assert report.passed, report.error_messages
    made = ML.jobs.create_or_update(job)
    same(finished(ML, made.name), "Completed")
    same(result(made.name, "final"), {"n.txt": "9"})
    found = ML.jobs.get(made.name)
    same(sorted(found.jobs), ["envs", "file", "inline", "label", "short"])
    same((found.tags, found.description, found.settings.continue_on_step_failure), ({"a": "b"}, "words", False))
    again = ML.jobs.create_or_update(load_job(WORK / "pipe.yml", params_override=[{"inputs.plus": 30}]))
    same(finished(ML, again.name), "Completed")
    same(result(again.name, "final"), {"n.txt": "36"})


def check_validation() -> None:
    bad = load_job(WORK / "pipe.yml") if (WORK / "pipe.yml").exists() else None
    component = add("valid")
    assert ML.components.validate(component).passed
    component.command = "echo ${{inputs.nothing}}"
    assert not ML.components.validate(component).passed
    (WORK / "bad.yml").write_text(
        "type: command\nname: b\ncommand: x\nenvironment: azureml:plain:1\ninputs: {a: {type: nonsense}}\n"
    )
    with refused(Exception):
        load_component(WORK / "bad.yml")

    @pipeline(default_compute=CLUSTER)
    def missing():
        add("valid2")()

    with refused(Exception, "table"):
        ML.jobs.create_or_update(missing())
    del bad


def check_component_errors_of_the_server() -> None:
    @pipeline(default_compute="no-such-compute")
    def nocompute(data: Input):
        add("valid3")(table=data)

    with refused(Exception, "no-such-compute"):
        ML.jobs.create_or_update(nocompute(data=table()))

    @pipeline(default_compute=CLUSTER)
    def nodata(data: Input):
        add("valid3")(table=data)

    with refused(Exception, "nodata"):
        ML.jobs.create_or_update(nodata(data=Input(type="uri_file", path="azureml:nodata:4")))
    with refused(Exception, "plus"):
        ML.jobs.create_or_update(command_job_of(plus=1000))


def command_job_of(plus: int):
    @pipeline(default_compute=CLUSTER)
    def too_much(data: Input):
        add("valid4")(table=data, plus=plus)

    return too_much(data=table())


def check_outputs_are_registered() -> None:
    @pipeline(default_compute=CLUSTER)
    def registering(data: Input):
        one = add("reg_add")(table=data)
        one.outputs.out.name = "inner-data"
        one.outputs.out.version = "5"
        two = add("reg_add")(table=data, plus=1)
        return {"named": two.outputs.out}

    job = registering(data=table())
    job.outputs.named = Output(type="uri_folder", name="outer-data", version="3")
    made = ML.jobs.create_or_update(job)
    same(finished(ML, made.name), "Completed")
    same(ML.data.get("inner-data", "5").type, "uri_folder")
    same(ML.data.get("outer-data", "3").type, "uri_folder")


def check_command_component_by_function_and_clone() -> None:
    component = CommandComponent(
        name="by_class", version="1", command="echo ${{inputs.a}} > ${{outputs.b}}/n.txt", environment="azureml:plain:1",
        inputs={"a": Input(type="string", default="dflt")}, outputs={"b": Output(type="uri_folder")},
    )  # fmt: skip
    ML.components.create_or_update(component)
    got = ML.components.get("by_class", "1")

    @pipeline(default_compute=CLUSTER)
    def default():
        node = got()
        node.environment_variables = {"A": "B"}
        node.set_resources(instance_count=1)
        node.set_limits(timeout=600)
        return {"b": node.outputs.b}

    made = ML.jobs.create_or_update(default())
    same(finished(ML, made.name), "Completed")
    same(result(made.name, "b"), {"n.txt": "dflt\n"})


if __name__ == "__main__":
    run(globals())
