"""`audit` against a live server."""

import json
from pathlib import Path

from tests.cli.conftest import Run


def test_entries_are_listed_exported_and_verified(az: Run) -> None:
    az("group", "create", "-n", "audited", "-l", "eastus")
    listed = az("audit", "list", "--scope", "/", "--action", "Microsoft.Resources/*/write", "--max-results", "3")
    assert listed.code == 0, listed.err
    assert 1 <= len(listed.json) <= 3
    assert "resourceGroups/audited" in json.dumps(az("audit", "list").json)
    assert az("audit", "export", "-f", "trail.jsonl", "--outcome", "allowed").code == 0
    lines = [json.loads(line) for line in Path("trail.jsonl").read_text().splitlines()]
    assert {line["outcome"] for line in lines} == {"allowed"}
    assert json.loads(az("audit", "export").out.splitlines()[0])["position"] == 1
    kept = az("audit", "verify")
    assert kept.json["isIntact"] is True and kept.json["head"]["number"] > 0
    Path("head.json").write_text(kept.out)
    assert az("audit", "verify", "--head", "head.json").code == 0
    Path("head.json").write_text(json.dumps({"head": {**kept.json["head"], "hash": "0" * 64}}))
    changed = az("audit", "verify", "--head", "head.json")
    assert changed.code == 1 and "tampered" in changed.err
    Path("head.json").write_text("none")
    assert "does not hold what" in az("audit", "verify", "--head", "head.json").err
    assert az("audit", "trim", "--before", "2020-01-01", "--yes").json["removed"] == 0
    assert az("audit", "list", "--max-results", "none").code == 2
