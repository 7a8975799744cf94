"""What Azure ML has and this server has not: each answers at once that it is not supported, and is no failure."""

from azure.ai.ml import Input, automl, dsl, load_component, spark
from azure.ai.ml.data_transfer import Database
from azure.ai.ml.entities import (
    AzureMLOnlineInferencingServer,
    CodeConfiguration,
    DataColumn,
    DataImport,
    FeatureSet,
    FeatureSetSpecification,
    FeatureStore,
    FeatureStoreEntity,
    ImportDataSchedule,
    Index,
    MarketplaceSubscription,
    ModelPackage,
    RecurrenceTrigger,
    ServerlessEndpoint,
    SynapseSparkCompute,
)
from azure.ai.ml.finetuning import create_finetuning_job
from azure.core.exceptions import HttpResponseError
from checks import CLUSTER, SUFFIX, home, refused, run, scratch

ML = home("unsupported")
WORK = scratch()
REFUSAL = "not supported by this server"
MODEL = "azureml://registries/azureml/models/any"
(WORK / "src").mkdir()
(WORK / "src" / "main.py").write_text("print(1)\n")
(WORK / "table").mkdir()
(WORK / "table" / "MLTable").write_text("paths:\n  - file: ./a.csv\n")
(WORK / "table" / "a.csv").write_text("x,y\n1,2\n")
SPARK = {"driver_cores": 1, "driver_memory": "2g", "executor_cores": 2, "executor_memory": "2g",
         "executor_instances": 2}  # fmt: skip
SPARK |= {"resources": {"instance_type": "Standard_E8S_V3", "runtime_version": "3.4.0"}}


def _spark(**more: object) -> object:
    return spark(display_name="s", code=str(WORK / "src"), entry={"file": "main.py"}, **SPARK, **more)


def check_spark() -> None:
    with refused(HttpResponseError, "Job type 'Spark'", REFUSAL):
        ML.jobs.create_or_update(_spark(identity={"type": "managed"}))
    step = _spark()

    @dsl.pipeline(default_compute=CLUSTER)
    def line() -> None:
        step()

    with refused(HttpResponseError, "Job type 'spark' of node", REFUSAL):
        ML.jobs.create_or_update(line())
    with refused(HttpResponseError, "SynapseSpark", REFUSAL):
        pool = "/subscriptions/x/resourceGroups/y/providers/Microsoft.Synapse/workspaces/w/bigDataPools/p"
        ML.compute.begin_create_or_update(SynapseSparkCompute(name="pool", resource_id=pool)).result()


def _classification() -> object:
    table = Input(type="mltable", path=str(WORK / "table"))
    return automl.classification(
        compute=CLUSTER, experiment_name="e", training_data=table, target_column_name="y", primary_metric="accuracy"
    )


def check_automl_and_finetuning() -> None:
    with refused(HttpResponseError, "Job type 'AutoML'", REFUSAL):
        ML.jobs.create_or_update(_classification())
    rows = Input(type="uri_file", path="azureml:rows:1")
    tuning = create_finetuning_job(
        model="azureml://registries/azureml/models/any/versions/1", task="chatCompletion", training_data=rows,
        validation_data=rows, hyperparameters={"rate": "1"}, name="tuning", experiment_name="e",
        output_model_name_prefix="tuned",
    )  # fmt: skip
    with refused(HttpResponseError, "Job type 'FineTuning'", REFUSAL):
        ML.jobs.create_or_update(tuning)


def check_imports_and_transfers() -> None:
    rows = DataImport(name="rows", source=Database(connection="azureml:c", query="select 1"), path=_place("rows"))
    with refused(HttpResponseError, "data_transfer", REFUSAL):
        ML.data.import_data(rows)
    daily = RecurrenceTrigger(frequency="day", interval=1)
    with refused(HttpResponseError, "ImportData", REFUSAL):
        ML.schedules.begin_create_or_update(ImportDataSchedule(name="i", trigger=daily, import_data=rows)).result()
    (WORK / "copy.yml").write_text(
        "name: copy\ntype: data_transfer\ntask: copy_data\ndata_copy_mode: merge_with_overwrite\n"
        "inputs: {a: {type: uri_folder}}\noutputs: {o: {type: uri_folder}}\n"
    )
    step = load_component(WORK / "copy.yml")

    @dsl.pipeline(default_compute=CLUSTER)
    def line() -> None:
        step(a=Input(type="uri_folder", path=_place("a")))

    with refused(HttpResponseError, "data_transfer", REFUSAL):
        ML.jobs.create_or_update(line())


def _place(name: str) -> str:
    return f"azureml://datastores/workspaceblobstore/paths/{name}/"


def check_feature_stores() -> None:
    folder = WORK / "spec"
    folder.mkdir()
    (folder / "FeatureSetSpec.yaml").write_text(
        "source: {type: csv, path: ./a.csv, timestamp_column: {name: ts}}\n"
        "features: [{name: a, type: string}]\nindex_columns: [{name: id, type: string}]\n"
    )
    specification = FeatureSetSpecification(path=str(folder))
    features = FeatureSet(name="f", version="1", entities=["azureml:e:1"], specification=specification)
    with refused(HttpResponseError, "Feature sets are", REFUSAL):
        ML.feature_sets.begin_create_or_update(features).result()
    with refused(HttpResponseError, "Feature sets are", REFUSAL):
        list(ML.feature_sets.list())
    entity = FeatureStoreEntity(name="e", version="1", index_columns=[DataColumn(name="id", type="string")])
    with refused(HttpResponseError, "Feature store entities are", REFUSAL):
        ML.feature_store_entities.begin_create_or_update(entity).result()
    with refused(HttpResponseError, "featurestore", REFUSAL):
        ML.feature_stores.begin_create(FeatureStore(name=f"fs{SUFFIX}", location="eastus")).result()


def check_endpoints_of_models_that_others_serve() -> None:
    with refused(HttpResponseError, "Serverless endpoints are", REFUSAL):
        ML.serverless_endpoints.begin_create_or_update(ServerlessEndpoint(name="sv", model_id=MODEL)).result()
    with refused(HttpResponseError, "Serverless endpoints are", REFUSAL):
        list(ML.serverless_endpoints.list())
    with refused(HttpResponseError, "Marketplace subscriptions are", REFUSAL):
        ML.marketplace_subscriptions.begin_create_or_update(MarketplaceSubscription(name="m", model_id=MODEL)).result()


def check_what_else_there_is() -> None:
    with refused(HttpResponseError, "Indexes are", REFUSAL):
        list(ML.indexes.list())
    with refused(HttpResponseError, "Indexes are", REFUSAL):
        ML.indexes.create_or_update(Index(name="i", version="1", path=str(WORK / "src")))
    with refused(HttpResponseError, "Capability hosts are", REFUSAL):
        ML.capability_hosts.get("nobody")
    with refused(HttpResponseError, "Managed networks are", REFUSAL):
        ML.workspaces.begin_provision_network(workspace_name=ML.workspace_name).result()
    code = CodeConfiguration(code=str(WORK / "src"), scoring_script="main.py")
    package = ModelPackage(
        target_environment="t", inferencing_server=AzureMLOnlineInferencingServer(code_configuration=code)
    )
    with refused(HttpResponseError, "Packages of models are", REFUSAL):
        ML.models.package("m", "1", package)


if __name__ == "__main__":
    run(globals())
