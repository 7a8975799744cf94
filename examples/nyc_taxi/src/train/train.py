"""Fits the cost of a trip to its features, and keeps some trips aside to judge the model by."""

import argparse
from pathlib import Path

import mlflow
import mlflow.sklearn
import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import train_test_split


def requirements() -> list[str]:
    """Return what loading the model takes; told here, MLflow needn't try it out in another process."""
    found = mlflow.sklearn.get_default_pip_requirements(include_cloudpickle=True)
    return [*found, f"numpy=={np.__version__}", f"pandas=={pd.__version__}"]


def main() -> None:
    """Train, track, and save the model in MLflow's format, to the named output and to the run's artifacts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--training_data", type=Path, required=True, help="folder with the table of features")
    parser.add_argument("--test_fraction", type=float, default=0.3, help="the part kept aside")
    parser.add_argument("--model_output", type=Path, required=True, help="folder for the model")
    parser.add_argument("--test_data", type=Path, required=True, help="folder for the trips kept aside")
    args = parser.parse_args()

    mlflow.sklearn.autolog(log_models=False, silent=True)  # parameters and training metrics by themselves
    trips = pd.concat([pd.read_csv(file) for file in sorted(args.training_data.glob("*.csv"))], ignore_index=True)
    train, test = train_test_split(trips, test_size=args.test_fraction, random_state=42)
    with mlflow.start_run():  # inside a job: the job's own run
        model = LinearRegression().fit(train.drop(columns="cost"), train["cost"])
        r2 = model.score(test.drop(columns="cost"), test["cost"])
        mlflow.log_metrics({"train_rows": len(train), "test_r2": r2})
        mlflow.sklearn.save_model(
            model,
            path=str(args.model_output),
            serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_CLOUDPICKLE,
            pip_requirements=requirements(),
        )
        mlflow.log_artifacts(str(args.model_output), artifact_path="model")

    args.test_data.mkdir(parents=True, exist_ok=True)
    test.to_csv(args.test_data / "trips.csv", index=False)
    print(f"trained on {len(train)} trips, R2 on {len(test)} others: {r2:.3f}")


if __name__ == "__main__":
    main()
