"""Judges predictions: how far from the actual costs they are."""

import argparse
import json
from pathlib import Path

import mlflow
import pandas as pd
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score


def main() -> None:
    """Log R2, mean absolute and root mean squared error, and write them down."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--predictions", type=Path, required=True, help="folder of predictions")
    parser.add_argument("--score_report", type=Path, required=True, help="folder for the report")
    args = parser.parse_args()

    table = pd.read_csv(args.predictions / "predictions.csv")
    actual, foretold = table["actual_cost"], table["predicted_cost"]
    scores = {
        "r2": r2_score(actual, foretold),
        "mean_absolute_error": mean_absolute_error(actual, foretold),
        "root_mean_squared_error": mean_squared_error(actual, foretold) ** 0.5,
    }
    mlflow.log_metrics(scores)
    args.score_report.mkdir(parents=True, exist_ok=True)
    (args.score_report / "score.json").write_text(json.dumps(scores, indent=2) + "\n")
    print("  ".join(f"{name} {value:.3f}" for name, value in scores.items()))


if __name__ == "__main__":
    main()
