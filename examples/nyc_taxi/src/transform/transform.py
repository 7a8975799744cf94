"""Joins the tidied records, drops trips that cannot have happened, and makes numbers of flags and times."""

import argparse
from pathlib import Path

import pandas as pd

# Around New York City; records with a dead GPS stand at (0, 0).
LATITUDES = (40.5, 41.0)
LONGITUDES = (-74.3, -73.6)

FEATURES = [
    "distance",
    "dropoff_latitude",
    "dropoff_longitude",
    "passengers",
    "pickup_latitude",
    "pickup_longitude",
    "store_forward",
    "vendor",
    *(
        f"{end}_{part}"
        for end in ("pickup", "dropoff")
        for part in ("weekday", "month", "monthday", "hour", "minute", "second")
    ),
]


def plausible(trips: pd.DataFrame) -> pd.DataFrame:
    """Return the trips within the city that moved, cost something and carried someone."""
    kept = (trips["distance"].between(0.05, 60)) & (trips["cost"].between(2.5, 200)) & (trips["passengers"] > 0)
    for end in ("pickup", "dropoff"):
        kept &= trips[f"{end}_latitude"].between(*LATITUDES) & trips[f"{end}_longitude"].between(*LONGITUDES)
    return trips[kept]


def with_numbers(trips: pd.DataFrame) -> pd.DataFrame:
    """Return the features, all numbers, and the cost."""
    numbers = trips.copy()
    numbers["store_forward"] = (trips["store_forward"] == "Y").astype(int)
    for end in ("pickup", "dropoff"):
        moment = pd.to_datetime(trips[f"{end}_datetime"]).dt
        numbers[f"{end}_weekday"] = moment.weekday
        numbers[f"{end}_month"] = moment.month
        numbers[f"{end}_monthday"] = moment.day
        numbers[f"{end}_hour"] = moment.hour
        numbers[f"{end}_minute"] = moment.minute
        numbers[f"{end}_second"] = moment.second
    return numbers[[*FEATURES, "cost"]]


def main() -> None:
    """Write the features of all records of the input folder as one table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clean_data", type=Path, required=True, help="folder of tidied records")
    parser.add_argument("--transformed_data", type=Path, required=True, help="folder for the table of features")
    args = parser.parse_args()

    trips = pd.concat([pd.read_csv(file) for file in sorted(args.clean_data.glob("*.csv"))], ignore_index=True)
    kept = with_numbers(plausible(trips))
    args.transformed_data.mkdir(parents=True, exist_ok=True)
    kept.to_csv(args.transformed_data / "trips.csv", index=False)
    print(f"{len(kept)} of {len(trips)} trips kept, {len(FEATURES)} features")


if __name__ == "__main__":
    main()
