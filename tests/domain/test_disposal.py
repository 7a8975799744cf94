"""Abandoned blocks go after a week, those of an upload that goes on stay."""

import os

from entrepot.core.ids import Region
from entrepot.domain.disposal import blocks
from entrepot.domain.hub import Hub
from entrepot.store import paths


def test_abandoned_blocks_are_deleted_after_a_week_and_looked_for_again(hub: Hub) -> None:
    region = Region("eastus")
    hub.containers.create("uploads", region=region, owner="test")
    store = hub.depots.of(region)
    for name in ("old", "new"):
        file = store.staging / name
        file.write_text(name)
        hub.containers.stage_block("uploads", name, "YQ==", file)
    kept = store.local_path(paths.block("uploads", "old", "YQ=="))
    assert kept is not None
    past = hub.clock.now() - blocks.KEPT_S - 60
    os.utime(kept, (past, past))
    fresh = store.local_path(paths.block("uploads", "new", "YQ=="))
    assert fresh is not None
    os.utime(fresh, (hub.clock.now(), hub.clock.now()))
    blocks.begin(hub)
    blocks.begin(hub)
    leased = hub.documents.lease([blocks.QUEUE], owner="test", now=hub.clock.now(), seconds=60, limit=10)
    assert len(leased) == 1
    blocks.dispose(hub, leased[0])
    assert hub.containers.blocks("uploads", "old")[1] == []
    assert len(hub.containers.blocks("uploads", "new")[1]) == 1
    again = hub.documents.lease([blocks.QUEUE], owner="test", now=hub.clock.now() + blocks.PAUSE_S, seconds=60)
    assert [item.key for item in again] == [leased[0].key], "it comes back by itself"
