"""Workspaces, registries, computes, datastores, connections; and what this server does not do, which it says."""

from azure.ai.ml import Input, MLClient, automl, spark
from azure.ai.ml.entities import (
    AccountKeyConfiguration,
    AmlCompute,
    ApiKeyConfiguration,
    AzureBlobDatastore,
    AzureDataLakeGen2Datastore,
    ComputeInstance,
    Data,
    DataColumn,
    FeatureStore,
    FeatureStoreEntity,
    Hub,
    KubernetesCompute,
    MarketplaceSubscription,
    ModelPackage,
    Project,
    Registry,
    RegistryRegionDetails,
    SasTokenConfiguration,
    ServerlessEndpoint,
    SynapseSparkCompute,
    SystemCreatedAcrAccount,
    SystemCreatedStorageAccount,
    VirtualMachineCompute,
    VirtualMachineSshSettings,
    Workspace,
    WorkspaceConnection,
)
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.identity import DefaultAzureCredential
from checks import CLUSTER, GROUP, SUBSCRIPTION, SUFFIX, home, refused, run, same, scratch

ML = home("resources")
WORK = scratch()
NOT_SUPPORTED = "not supported by this server"


def check_workspaces() -> None:
    name = f"other{SUFFIX}"
    made = ML.workspaces.begin_create(
        Workspace(
            name=name, location="westus2", display_name="Other", description="d", tags={"a": "b"}, hbi_workspace=False
        )
    ).result()
    same((made.display_name, made.description, made.tags["a"], made.location), ("Other", "d", "b", "westus2"))
    same((made.hbi_workspace, ML.workspaces.get(name).hbi_workspace), (False, False))
    assert made.discovery_url and made.mlflow_tracking_uri and made.storage_account and made.key_vault
    assert name in [each.name for each in ML.workspaces.list()]
    assert name in [each.name for each in ML.workspaces.list(scope="subscription")]
    made.display_name, made.tags = "New", {"c": "d"}
    changed = ML.workspaces.begin_update(made).result()
    same((changed.display_name, changed.tags), ("New", {"c": "d"}))
    changed = ML.workspaces.begin_update(Workspace(name=name, description="only")).result()
    same((changed.description, changed.display_name), ("only", "New"))
    assert ML.workspaces.get_keys(name) is not None
    same(ML.workspaces.begin_diagnose(name).result().storage_account_results, [])
    ML.workspaces.begin_sync_keys(name).result()
    ML.workspaces.begin_delete(name, delete_dependent_resources=True).result()
    with refused(ResourceNotFoundError):
        ML.workspaces.get(name)


def check_hubs_and_projects() -> None:
    made = ML.workspaces.begin_create(Hub(name=f"hub{SUFFIX}", location="eastus", display_name="H")).result()
    same((type(made), made.display_name), (Hub, "H"))
    project = ML.workspaces.begin_create(Project(name=f"proj{SUFFIX}", location="eastus", hub_id=made.id)).result()
    same((type(project), project.hub_id), (Project, made.id))
    same(ML.workspaces.get(made.name).associated_workspaces, [project.id])
    for kinds, wanted in (("hub", {made.name}), (["hub", "project"], {made.name, project.name})):
        found = {each.name for each in ML.workspaces.list(filtered_kinds=kinds)}
        assert wanted <= found and ML.workspace_name not in found, found
    at = {name: MLClient(DefaultAzureCredential(), SUBSCRIPTION, GROUP, name) for name in (made.name, project.name)}
    for name, is_shared in (("ours", True), ("mine", False)):
        key = ApiKeyConfiguration(key=f"key of {name}")
        at[made.name].connections.create_or_update(
            WorkspaceConnection(
                name=name, type="azure_open_ai", target="https://x", credentials=key, is_shared=is_shared
            )
        )
    same([each.name for each in at[project.name].connections.list()], ["ours"])
    same(at[project.name].connections.get("ours", populate_secrets=True).credentials.key, "key of ours")
    with refused(HttpResponseError, "shared by the hub"):
        at[project.name].connections.delete("ours")
    with refused(HttpResponseError, project.name):
        ML.workspaces.begin_delete(made.name, delete_dependent_resources=False).result()
    for name in (project.name, made.name):
        ML.workspaces.begin_delete(name, delete_dependent_resources=True, permanently_delete=True).result()


def check_registries() -> None:
    name = f"regres{SUFFIX}"
    made = ML.registries.begin_create(
        Registry(
            name=name, location="eastus", tags={"a": "b"}, public_network_access="Enabled",
            replication_locations=[
                RegistryRegionDetails(
                    location="eastus",
                    acr_config=[SystemCreatedAcrAccount(acr_account_sku="Premium")],
                    storage_config=SystemCreatedStorageAccount(storage_account_hns=False, storage_account_type="Standard_LRS"),
                ),
                RegistryRegionDetails(location="westus2"),
            ],
        )
    ).result()  # fmt: skip
    same(sorted(each.location for each in made.replication_locations), ["eastus", "westus2"])
    found = ML.registries.get(name)
    same((found.tags, found.location), ({"a": "b"}, "eastus"))
    assert name in [each.name for each in ML.registries.list()]
    assert name in [each.name for each in ML.registries.list(scope="subscription")]
    found.tags["x"] = "y"
    found.replication_locations.append(RegistryRegionDetails(location="westeurope"))
    same(ML.registries.begin_create(found).result().tags, {"a": "b", "x": "y"})
    same(len(ML.registries.get(name).replication_locations), 3)
    assert MLClient(DefaultAzureCredential(), registry_name=name).models.list() is not None
    ML.registries.begin_delete(name=name).result()
    with refused(Exception):
        ML.registries.get(name)


def check_computes() -> None:
    cluster = AmlCompute(
        name="big",
        size="STANDARD_DS3_v2",
        min_instances=0,
        max_instances=4,
        idle_time_before_scale_down=120,
        tier="low_priority",
        tags={"a": "b"},
    )
    made = ML.compute.begin_create_or_update(cluster).result()
    same((made.type, made.max_instances, made.tier), ("amlcompute", 4, "low_priority"))
    made.max_instances = 2
    same(ML.compute.begin_update(made).result().max_instances, 2)
    same(list(ML.compute.list_nodes("big")), [])
    instance = ML.compute.begin_create_or_update(
        ComputeInstance(name="mine", size="STANDARD_DS3_v2", idle_time_before_shutdown_minutes=30)
    ).result()
    same(instance.type, "computeinstance")
    ML.compute.begin_stop("mine").result()
    same(ML.compute.get("mine").state, "Stopped")
    ML.compute.begin_start("mine").result()
    same(ML.compute.get("mine").state, "Running")
    ML.compute.begin_restart("mine").result()
    same(sorted(each.name for each in ML.compute.list()), ["big", CLUSTER, "mine"])
    same([each.name for each in ML.compute.list(compute_type="computeinstance")], ["mine"])
    assert list(ML.compute.list_sizes()), "sizes"
    assert list(ML.compute.list_usage()) is not None
    for other in (
        KubernetesCompute(
            name="k8s",
            resource_id=f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Kubernetes/connectedClusters/x",
            namespace="default",
        ),
        VirtualMachineCompute(
            name="vm",
            resource_id=f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute/virtualMachines/x",
            ssh_settings=VirtualMachineSshSettings(admin_username="a", admin_password="b"),
        ),
        SynapseSparkCompute(
            name="spark",
            resource_id=f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Synapse/workspaces/x/bigDataPools/y",
        ),
    ):
        with refused(HttpResponseError, NOT_SUPPORTED):
            ML.compute.begin_create_or_update(other).result()
    ML.compute.begin_delete("big").result()
    with refused(ResourceNotFoundError):
        ML.compute.get("big")
    with refused(ResourceNotFoundError):
        ML.compute.begin_start("nobody").result()


def check_datastores() -> None:
    default = ML.datastores.get_default()
    same(default.name, "workspaceblobstore")
    made = ML.datastores.create_or_update(
        AzureBlobDatastore(
            name="mystore", account_name="acc", container_name=f"cont{SUFFIX}", description="d", tags={"a": "b"}
        )
    )
    same((made.name, made.description), ("mystore", "d"))
    ML.datastores.create_or_update(
        AzureBlobDatastore(
            name="keyed",
            account_name="acc",
            container_name=f"con2{SUFFIX}",
            credentials=AccountKeyConfiguration(account_key="c2VjcmV0"),
        )
    )
    ML.datastores.create_or_update(
        AzureBlobDatastore(
            name="sased",
            account_name="acc",
            container_name=f"con3{SUFFIX}",
            credentials=SasTokenConfiguration(sas_token="sv=x"),
        )
    )
    assert {"mystore", "keyed", "sased", "workspaceblobstore", "workspaceartifactstore"} <= {
        each.name for each in ML.datastores.list()
    }
    lake = AzureDataLakeGen2Datastore(name="lake", account_name="acc", filesystem="fs")
    same(ML.datastores.create_or_update(lake).type, "AzureDataLakeGen2")
    with refused(HttpResponseError, "not a blob store of this server"):
        ML.data.create_or_update(Data(name="d", path="azureml://datastores/lake/paths/x", type="uri_folder"))
    ML.datastores.delete("mystore")
    with refused(ResourceNotFoundError):
        ML.datastores.get("mystore")


def check_connections() -> None:
    made = ML.connections.create_or_update(
        WorkspaceConnection(
            name="conn",
            type="azure_open_ai",
            target="https://x",
            credentials=ApiKeyConfiguration(key="secret-key"),
            metadata={"a": "b"},
        )
    )
    same((made.name, made.target), ("conn", "https://x"))
    same([each.name for each in ML.connections.list()], ["conn"])
    assert "secret-key" not in str(vars(ML.connections.get("conn").credentials))
    same(ML.connections.get("conn", populate_secrets=True).credentials.key, "secret-key")
    ML.connections.delete("conn")
    with refused(ResourceNotFoundError):
        ML.connections.get("conn")


def check_what_is_not_supported_says_so() -> None:
    with refused(Exception, NOT_SUPPORTED):
        ML.models.package(
            "m",
            "1",
            ModelPackage(target_environment="t", inferencing_server={"type": "azureml_online"}) if False else package(),
        )
    with refused(Exception, NOT_SUPPORTED):
        ML.serverless_endpoints.begin_create_or_update(
            ServerlessEndpoint(name="s", model_id="azureml://registries/x/models/y")
        ).result()
    with refused(Exception, NOT_SUPPORTED):
        list(ML.serverless_endpoints.list())
    with refused(Exception, NOT_SUPPORTED):
        ML.marketplace_subscriptions.begin_create_or_update(
            MarketplaceSubscription(name="s", model_id="azureml://registries/x/models/y")
        ).result()
    with refused(Exception, NOT_SUPPORTED):
        ML.feature_stores.begin_create(FeatureStore(name=f"fs{SUFFIX}", location="eastus")).result()
    with refused(Exception, NOT_SUPPORTED):
        ML.feature_store_entities.begin_create_or_update(
            FeatureStoreEntity(name="e", version="1", index_columns=[DataColumn(name="x", type="string")])
        ).result()
    with refused(Exception, NOT_SUPPORTED):
        ML.feature_sets.get("f", "1")
    with refused(Exception, NOT_SUPPORTED):
        list(ML.indexes.list("x"))


def package() -> ModelPackage:
    from azure.ai.ml.entities import AzureMLOnlineInferencingServer, CodeConfiguration

    (WORK / "score.py").write_text("def init(): pass\n")
    return ModelPackage(
        target_environment="t",
        inferencing_server=AzureMLOnlineInferencingServer(
            code_configuration=CodeConfiguration(code=str(WORK), scoring_script="score.py")
        ),
    )


def check_job_types_that_are_not_supported_say_so() -> None:
    forecast = automl.classification(
        compute=CLUSTER,
        training_data=Input(type="mltable", path="azureml://datastores/workspaceblobstore/paths/x/"),
        target_column_name="y",
        primary_metric="accuracy",
    )
    with refused(Exception, NOT_SUPPORTED):
        ML.jobs.create_or_update(forecast)
    (WORK / "entry.py").write_text("print(1)\n")
    job = spark(
        code=str(WORK),
        entry={"file": "entry.py"},
        driver_cores=1,
        driver_memory="2g",
        executor_cores=1,
        executor_memory="2g",
        executor_instances=1,
        resources={"instance_type": "Standard_E8S_V3", "runtime_version": "3.4"},
    )
    with refused(Exception, NOT_SUPPORTED):
        ML.jobs.create_or_update(job)


def check_the_caller_is_known() -> None:
    class Stranger:
        def get_token(self, *scopes: str, **more: object) -> object:
            from azure.core.credentials import AccessToken

            return AccessToken("eyJhbGciOiJub25lIn0.e30.x", 2**31)

    with refused(ClientAuthenticationError):
        list(MLClient(Stranger(), SUBSCRIPTION, GROUP, ML.workspace_name).models.list())


if __name__ == "__main__":
    run(globals())
