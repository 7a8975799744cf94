"""Foretells the cost of trips with a model in MLflow's format."""

import argparse
from pathlib import Path

import mlflow.sklearn
import pandas as pd


def main() -> None:
    """Write each trip's foretold cost beside its actual one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_input", type=Path, required=True, help="folder of the model")
    parser.add_argument("--test_data", type=Path, required=True, help="folder with a table of features and costs")
    parser.add_argument("--predictions", type=Path, required=True, help="folder for the predictions")
    args = parser.parse_args()

    model = mlflow.sklearn.load_model(str(args.model_input))
    trips = pd.concat([pd.read_csv(file) for file in sorted(args.test_data.glob("*.csv"))], ignore_index=True)
    foretold = model.predict(trips.drop(columns="cost"))
    args.predictions.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame({"actual_cost": trips["cost"], "predicted_cost": foretold})
    table.to_csv(args.predictions / "predictions.csv", index=False)
    print(f"predicted {len(table)} fares, {foretold.mean():.2f} dollars on average")


if __name__ == "__main__":
    main()
