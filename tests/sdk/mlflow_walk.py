"""What a user of MLflow's model registry does, against a workspace and then a registry; ends with `walked`.

Runs in an environment with mlflow and pandas; the arguments are a workspace's tracking address and a registry's.
"""

import logging
import sys
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import mlflow  # noqa: E402
import pandas  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402


class Doubling(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """A model that doubles, or more."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def predict(self, context: object, model_input: pandas.DataFrame, params: object = None) -> list[int]:
        """Return each number times the factor."""
        return [int(value) * self.factor for value in model_input["x"]]


def refused(code: str, act: object, *words: object, **named: object) -> None:
    """Check that a call is refused with this error code."""
    try:
        act(*words, **named)  # type: ignore[operator]
    except MlflowException as error:
        assert error.error_code == code, error
        return
    raise AssertionError(f"not refused: {act}{words}")


def predicted(uri: str) -> list[int]:
    """Load a model and ask it."""
    found: list[int] = list(mlflow.pyfunc.load_model(uri).predict(pandas.DataFrame({"x": [1, 2]})))
    return found


def register(name: str) -> str:
    """Log and register two versions, in both ways that users know; return the first one's run."""
    with mlflow.start_run() as run:
        info = mlflow.pyfunc.log_model(name="model", python_model=Doubling(2), pip_requirements=["pandas"])
    first = mlflow.register_model(info.model_uri, name, tags={"from": "uri"})
    assert (first.version, first.status, first.run_id) == ("1", "READY", run.info.run_id), first
    with mlflow.start_run():
        mlflow.pyfunc.log_model(
            name="model", python_model=Doubling(3), pip_requirements=["pandas"], registered_model_name=name
        )
    return str(run.info.run_id)


def walk(name: str) -> None:
    """Walk through the registry that is set."""
    client = MlflowClient()
    run = register(name)
    assert client.get_model_version(name, "2").version == "2"
    client.set_registered_model_alias(name, "champion", "1")
    assert predicted(f"models:/{name}@champion") == [2, 4]
    client.set_registered_model_alias(name, "champion", "2")
    assert predicted(f"models:/{name}@champion") == [3, 6]
    assert predicted(f"models:/{name}/1") == [2, 4] == predicted(f"runs:/{run}/model")
    assert predicted(f"models:/{name}/latest") == [3, 6]
    assert client.get_registered_model(name).aliases == {"champion": "2"}
    assert client.get_model_version_by_alias(name, "champion").aliases == ["champion"]
    client.delete_registered_model_alias(name, "champion")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_model_version_by_alias, name, "champion")
    describe(client, name, run)
    end(client, name)


def describe(client: MlflowClient, name: str, run: str) -> None:
    """Change what may change, and find models by it."""
    client.update_registered_model(name, "of taxis")
    client.set_registered_model_tag(name, "team", "blue")
    client.update_model_version(name, "1", "the first")
    client.set_model_version_tag(name, "1", "reviewed", "yes")
    found = client.get_registered_model(name)
    assert (found.description, found.tags["team"]) == ("of taxis", "blue")
    assert [each.name for each in client.search_registered_models("tags.team = 'blue'")] == [name]
    assert [each.version for each in client.search_model_versions(f"name = '{name}' and run_id = '{run}'")] == ["1"]
    assert [each.version for each in client.search_model_versions("tags.reviewed = 'yes'")] == ["1"]
    client.delete_model_version_tag(name, "1", "reviewed")
    client.delete_registered_model_tag(name, "team")
    assert "reviewed" not in client.get_model_version(name, "1").tags and not client.get_registered_model(name).tags
    client.transition_model_version_stage(name, "1", "Production")
    client.transition_model_version_stage(name, "2", "Production", archive_existing_versions=True)
    stages = {each.current_stage: each.version for each in client.get_latest_versions(name)}
    assert stages == {"Production": "2", "Archived": "1"}, stages


def end(client: MlflowClient, name: str) -> None:
    """Copy, and delete; what cannot be is refused in words that clients know."""
    copy = client.copy_model_version(f"models:/{name}/2", f"{name}-copy")
    assert (copy.version, predicted(f"models:/{name}-copy/1")) == ("1", [3, 6])
    refused("INVALID_PARAMETER_VALUE", client.rename_registered_model, name, f"{name}-new")
    refused("RESOURCE_ALREADY_EXISTS", client.create_registered_model, name)
    refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, "nobody")
    refused("RESOURCE_DOES_NOT_EXIST", client.create_model_version, name, "runs:/nobody/model")
    client.delete_model_version(name, "1")
    assert [each.version for each in client.search_model_versions(f"name = '{name}'")] == ["2"]
    client.delete_registered_model(name)
    refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, name)


def main(tracking: str, registry: str) -> None:
    """Walk through the workspace's own models, then through the registry's."""
    mlflow.set_tracking_uri(tracking)
    mlflow.set_experiment("registered")
    walk("taxi")
    mlflow.set_registry_uri(registry)
    walk("cab")
    mlflow.set_registry_uri(tracking)
    refused("RESOURCE_DOES_NOT_EXIST", MlflowClient().get_registered_model, "cab-copy")
    print("walked")


if __name__ == "__main__":
    main(*sys.argv[1:])
