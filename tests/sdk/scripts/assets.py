"""Models, data and environments as users register, find, change, archive and download them."""

from pathlib import Path

from azure.ai.ml import Input, Output, command, load_data, load_environment, load_model
from azure.ai.ml.constants import AssetTypes, ListViewType
from azure.ai.ml.entities import BuildContext, Data, Environment, Model
from azure.ai.ml.exceptions import ValidationException
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from checks import CLUSTER, IMAGE, SUFFIX, finished, home, refused, registry, run, same, scratch, texts

ML = home("assets")
SHARED = registry(ML, "assets")
REGISTRY = f"assets{SUFFIX}"
WORK = scratch()


def folder(name: str, **files: str) -> Path:
    made = WORK / name
    made.mkdir(exist_ok=True)
    for file, text in files.items():
        (made / file).write_text(text)
    return made


def check_data_of_every_type() -> None:
    one = folder("one", **{"a.csv": "x,y\n1,2\n"})
    same(ML.data.create_or_update(Data(name="file", path=str(one / "a.csv"), type=AssetTypes.URI_FILE)).version, "1")
    same(ML.data.create_or_update(Data(name="folder", path=str(one), type="uri_folder", version="v1")).version, "v1")
    table = folder("table", MLTable="paths:\n  - file: ./a.csv\ntransformations:\n  - read_delimited\n")
    (table / "a.csv").write_text("x,y\n1,2\n")
    made = ML.data.create_or_update(Data(name="table", path=str(table), type="mltable"))
    same((made.type, ML.data.get("table", label="latest").version), ("mltable", "1"))
    web = Data(name="web", path="https://example.com/a.csv", type="uri_file", description="d", tags={"a": "b"})
    same(ML.data.create_or_update(web).path, "https://example.com/a.csv")
    store = Data(name="store", path="azureml://datastores/workspaceblobstore/paths/some/where/", type="uri_folder")
    assert "paths/some/where" in ML.data.create_or_update(store).path
    same({each.name for each in ML.data.list()}, {"file", "folder", "table", "web", "store"})
    with refused(ResourceNotFoundError, "nobody"):
        ML.data.get("nobody", version="1")


def check_data_from_yaml() -> None:
    (WORK / "some.csv").write_text("1\n")
    (WORK / "data.yml").write_text(
        "$schema: https://azuremlschemas.azureedge.net/latest/data.schema.json\n"
        "name: yaml-data\nversion: 3\ntype: uri_file\npath: some.csv\ntags: {k: v}\n\n"
    )
    made = ML.data.create_or_update(load_data(WORK / "data.yml"))
    same((made.version, made.tags), ("3", {"k": "v"}))
    same(ML.data.create_or_update(load_data(WORK / "data.yml", params_override=[{"version": "4"}])).version, "4")


def check_versions_are_archived_and_restored() -> None:
    for version in "12":
        ML.data.create_or_update(Data(name="arch", path="https://example.com/x", type="uri_file", version=version))
        ML.models.create_or_update(Model(name="arch", path=str(folder("m", a="1")), version=version))
        ML.environments.create_or_update(Environment(name="arch", image=IMAGE, version=version))
        SHARED.models.create_or_update(Model(name="arch", path=str(folder("m", a="1")), version=version))
        SHARED.environments.create_or_update(Environment(name="arch", image=IMAGE, version=version))
        SHARED.data.create_or_update(
            Data(name="arch", path=str(folder("m", a="1")), type="uri_folder", version=version)
        )
    for client in (ML, SHARED):
        for nouns in (client.data, client.models, client.environments):
            nouns.archive("arch", version="1")
            same([each.version for each in nouns.list("arch")], ["2"])
            both = nouns.list("arch", list_view_type=ListViewType.ALL) if client is ML else []
            same(sorted(each.version for each in both), ["1", "2"] if client is ML else [])
            nouns.restore("arch", version="1")
            same(sorted(each.version for each in nouns.list("arch")), ["1", "2"])
            nouns.archive("arch")
            assert "arch" not in [each.name for each in nouns.list()], nouns
            nouns.restore("arch")
            assert "arch" in [each.name for each in nouns.list()], nouns


def check_labels() -> None:
    for client in (ML, SHARED):
        for version in ("1", "2", "10"):
            client.models.create_or_update(Model(name="lab", path=str(folder("m", a="1")), version=version))
            client.environments.create_or_update(Environment(name="lab", image=IMAGE, version=version))
        same(client.models.get("lab", label="latest").version, "10")
        same(client.environments.get("lab", label="latest").version, "10")
    with refused(Exception, "label"):
        ML.models.get("lab", label="nonsense")
    with refused(Exception):
        ML.models.get("lab")


def check_models_from_everywhere() -> None:
    made = ML.models.create_or_update(
        Model(name="everywhere", path=str(folder("m2", a="1", b="2")), type="custom_model", description="d",
              tags={"t": "1"}, properties={"p": "1"}, stage="Production")
    )  # fmt: skip
    same((made.version, made.tags["t"], made.properties["p"], made.stage), ("1", "1", "1", "Production"))
    again = ML.models.create_or_update(Model(name="everywhere2", path=made.path, type="custom_model"))
    ML.models.download("everywhere2", again.version, download_path=str(WORK / "again"))
    same(sorted(Path(name).name for name in texts(WORK / "again")), ["a", "b"])
    job = ML.jobs.create_or_update(
        command(
            command="mkdir -p ${{outputs.model}}/deep && echo hi > ${{outputs.model}}/deep/w.txt && mkdir -p outputs/mine"
            " && echo mine > outputs/mine/m.txt",
            environment="plain:1", compute=CLUSTER, outputs={"model": Output(type="custom_model")},
        )
    )  # fmt: skip
    same(finished(ML, job.name), "Completed")
    for path, files in {
        f"azureml://jobs/{job.name}/outputs/model": {"w.txt": "hi\n"},
        f"azureml://jobs/{job.name}/outputs/model/paths/deep/": {"w.txt": "hi\n"},
        f"azureml://jobs/{job.name}/outputs/model/paths/deep/w.txt": {"w.txt": "hi\n"},
        f"azureml://jobs/{job.name}/outputs/artifacts/paths/outputs/mine/": {"m.txt": "mine\n"},
        f"runs:/{job.name}/outputs/mine": {"m.txt": "mine\n"},
        f"azureml://subscriptions/{ML.subscription_id}/resourcegroups/{ML.resource_group_name}/workspaces/{ML.workspace_name}/"
        f"datastores/workspaceblobstore/paths/azureml/{job.name}/model/": {"w.txt": "hi\n"},
        f"azureml://datastores/workspaceblobstore/paths/azureml/{job.name}/model/": {"w.txt": "hi\n"},
    }.items():
        model = ML.models.create_or_update(Model(name="from-job", path=path, type="custom_model"))
        target = scratch()
        ML.models.download("from-job", model.version, download_path=str(target))
        same({Path(name).name: text for name, text in texts(target).items()}, files)
        same(model.job_name if "jobs/" in path else None, job.name if "jobs/" in path else None)
    with refused(HttpResponseError, "nothere"):
        ML.models.create_or_update(Model(name="bad", path="azureml://jobs/nothere/outputs/model"))
    with refused(HttpResponseError, "nothere"):
        ML.models.create_or_update(Model(name="bad", path="azureml://datastores/nothere/paths/x"))


def check_models_from_yaml_and_their_changes() -> None:
    folder("m3", a="1")
    (WORK / "model.yml").write_text("name: ym\nversion: 1\npath: ./m3\ntype: custom_model\nflavors: {python: {l: x}}\n")
    made = ML.models.create_or_update(load_model(WORK / "model.yml"))
    same((made.version, made.flavors), ("1", {"python": {"l": "x"}}))
    found = ML.models.get("ym", "1")
    found.tags = {"new": "tag"}
    found.description = "better"
    found.stage = "Archived"
    ML.models.create_or_update(found)
    now = ML.models.get("ym", "1")
    same((now.tags, now.description, now.stage), ({"new": "tag"}, "better", "Archived"))
    shared = SHARED.models.create_or_update(load_model(WORK / "model.yml"))
    shared.tags["x"] = "y"
    same(SHARED.models.create_or_update(shared).tags, {"x": "y"})
    folder("m4", a="other")
    with refused(Exception):
        ML.models.create_or_update(Model(name="ym", version="1", path=str(WORK / "m4")))


def check_environments_of_every_kind() -> None:
    (WORK / "conda.yml").write_text("name: x\ndependencies:\n  - python=3.11\n  - pip:\n    - six\n")
    (WORK / "env.yml").write_text(
        f"$schema: x\nname: ye\nversion: 5\nimage: {IMAGE}\nconda_file: ./conda.yml\ndescription: d\ntags: {{a: b}}\n"
    )
    for client in (ML, SHARED):
        made = client.environments.create_or_update(load_environment(WORK / "env.yml"))
        same((made.version, made.conda_file["dependencies"][0], made.tags), ("5", "python=3.11", {"a": "b"}))
        built = client.environments.create_or_update(
            Environment(
                name="ctx", version="1", build=BuildContext(path=str(folder("ctx", Dockerfile=f"FROM {IMAGE}\n")))
            )
        )
        same(built.build.dockerfile_path, "Dockerfile")
        other = folder("ctx2", **{"My.Dockerfile": f"FROM {IMAGE}\n"})
        built = client.environments.create_or_update(
            Environment(name="ctx2", version="1", build=BuildContext(path=str(other), dockerfile_path="My.Dockerfile"))
        )
        same(built.build.dockerfile_path, "My.Dockerfile")
        auto = client.environments.create_or_update(Environment(name="auto", image=IMAGE))
        again = client.environments.create_or_update(Environment(name="auto", image=IMAGE))
        same((auto.version, again.version), ("1", "1" if client is ML else "2"))  # a registry is asked for the next one
    same(ML.environments.create_or_update(Environment(name="auto", image="python:3.12-slim")).version, "2")
    with refused(Exception):
        ML.environments.create_or_update(Environment(name="ye", version="5", image="python:3.10"))
    found = ML.environments.get("ye", "5")
    found.tags["z"] = "1"
    same(ML.environments.create_or_update(found).tags, {"a": "b", "z": "1"})


def check_curated_environments_by_azures_names() -> None:
    name = "AzureML-minimal-ubuntu20.04-py38-cpu-inference"
    assert "python-3.11" in ML.environments.get(name, label="latest").description
    for spelled in (
        f"{name}@latest",
        f"azureml:{name}:12",
        f"azureml://registries/azureml/environments/{name}/labels/latest",
    ):
        job = ML.jobs.create_or_update(command(command="python --version", environment=spelled, compute=CLUSTER))
        same(finished(ML, job.name), "Completed")
    with refused((HttpResponseError, ValidationException), "AzureML-tensorflow"):
        job = command(command="echo hi", environment="AzureML-tensorflow-2.4-ubuntu18.04@latest", compute=CLUSTER)
        ML.jobs.create_or_update(job)


def check_models_by_stage() -> None:
    for version, stage in (("1", "Production"), ("2", "Development"), ("3", None)):
        ML.models.create_or_update(Model(name="staged", version=version, path=str(folder("m", a="1")), stage=stage))
    same([each.version for each in ML.models.list(name="staged", stage="Production")], ["1"])
    same(len(list(ML.models.list(name="staged"))), 3)


def check_sharing() -> None:
    ML.models.create_or_update(Model(name="sh", version="7", path=str(folder("m", a="1")), tags={"k": "v"}))
    ML.data.create_or_update(Data(name="sh", version="7", path=str(folder("m", a="1")), type="uri_folder"))
    ML.environments.create_or_update(Environment(name="sh", version="7", image=IMAGE))
    for nouns in (ML.models, ML.data, ML.environments):
        shared = nouns.share(
            name="sh", version="7", share_with_name="sh2", share_with_version="8", registry_name=REGISTRY
        )
        same((shared.name, shared.version), ("sh2", "8"))
    target = scratch()
    SHARED.models.download("sh2", "8", download_path=str(target))
    same(list(texts(target).values()), ["1"])
    same(SHARED.models.get("sh2", "8").tags, {"k": "v"})


def check_registry_assets_in_jobs() -> None:
    data = SHARED.data.create_or_update(Data(name="rd", version="1", path=str(folder("rd", x="12")), type="uri_folder"))
    SHARED.models.create_or_update(Model(name="rm", version="1", path=str(folder("rm", y="34"))))
    SHARED.models.create_or_update(Model(name="rm", version="2", path=str(folder("rm2", y="56"))))
    base = f"azureml://registries/{REGISTRY}"
    job = ML.jobs.create_or_update(
        command(
            command="cat ${{inputs.d}}/x ${{inputs.m}}/y ${{inputs.n}}/y && ls -d ${{inputs.d}}",
            inputs={
                "d": Input(type="uri_folder", path=data.id, mode="download"),
                "m": Input(type="custom_model", path=f"{base}/models/rm/versions/1"),
                "n": Input(type="custom_model", path=f"{base}/models/rm/labels/latest"),
            },
            environment=f"{base}/environments/plain/labels/latest", compute=CLUSTER,
        )
    )  # fmt: skip
    same(finished(ML, job.name), "Completed")
    ML.jobs.download(job.name, download_path=str(WORK / "logs"), all=True)
    assert any("123456" in text for text in texts(WORK / "logs").values()), texts(WORK / "logs")


if __name__ == "__main__":
    run(globals())
