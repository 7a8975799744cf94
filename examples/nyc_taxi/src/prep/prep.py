"""Reads the trip records of either colour of taxi and writes them under one set of column names."""

import argparse
from pathlib import Path

import pandas as pd

# Our name: the names that the two companies' records give the same thing.
COLUMNS = {
    "vendor": ["vendorID"],
    "pickup_datetime": ["lpepPickupDatetime", "tpepPickupDateTime"],
    "dropoff_datetime": ["lpepDropoffDatetime", "tpepDropoffDateTime"],
    "store_forward": ["storeAndFwdFlag"],
    "pickup_longitude": ["pickupLongitude", "startLon"],
    "pickup_latitude": ["pickupLatitude", "startLat"],
    "dropoff_longitude": ["dropoffLongitude", "endLon"],
    "dropoff_latitude": ["dropoffLatitude", "endLat"],
    "passengers": ["passengerCount"],
    "distance": ["tripDistance"],
    "cost": ["totalAmount"],
}


def tidy(raw: pd.DataFrame) -> pd.DataFrame:
    """Return the records with our column names, without duplicates and holes."""
    names = {theirs: ours for ours, candidates in COLUMNS.items() for theirs in candidates if theirs in raw}
    missing = sorted(set(COLUMNS) - set(names.values()))
    if missing:
        raise SystemExit(f"no column for {', '.join(missing)} among {', '.join(raw.columns)}")
    return raw.rename(columns=names)[list(COLUMNS)].drop_duplicates().dropna().reset_index(drop=True)


def main() -> None:
    """Tidy every CSV file of the input folder into one of the same name in the output folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw_data", type=Path, required=True, help="folder of trip records, one CSV per company")
    parser.add_argument("--prep_data", type=Path, required=True, help="folder for the tidied records")
    args = parser.parse_args()

    args.prep_data.mkdir(parents=True, exist_ok=True)
    files = sorted(args.raw_data.glob("*.csv"))
    if not files:
        raise SystemExit(f"no CSV file in {args.raw_data}")
    for file in files:
        raw = pd.read_csv(file)
        tidied = tidy(raw)
        tidied.to_csv(args.prep_data / file.name, index=False)
        print(f"{file.name}: {len(tidied)} of {len(raw)} records kept")


if __name__ == "__main__":
    main()
