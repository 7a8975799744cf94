"""What a replica collected, brought to the blob store: whole, once, and nothing that user code slipped in."""

import logging
import os
import time
from pathlib import Path

import pytest

from entrepot.domain.endpoints.replicas import collected, kits
from entrepot.domain.hub import Hub
from entrepot.store import paths
from tests.endpoints.conftest import house
from tests.endpoints.house import House
from tests.replicas.conftest import Fleet

COLLECT = {"collections": {"request": {"rate": 1.0, "container": "events", "path": "mdc/one", "uri": "azureml://x"}}}
NAMES = [f"{number:08d}-0000-0000-0000-000000000000" for number in range(9)]


@pytest.fixture
def replica(house: House, tmp_path: Path) -> Path:
    house.hub.containers.create("events", region=house.hub.settings.regions[0], owner=house.dev.key)  # type: ignore[arg-type]
    folder = tmp_path / "replica" / "collected" / "request" / "2026" / "11" / "29" / "04"
    folder.mkdir(parents=True)
    return tmp_path / "replica"


def hours(replica: Path) -> Path:
    return replica / "collected" / "request" / "2026" / "11" / "29" / "04"


def blobs(hub: Hub) -> dict[str, bytes]:
    found = {}
    for item in hub.containers.list("events", "").items:
        with hub.containers.store("events").open(paths.content(item.digest)) as file:
            found[item.name] = file.read()
    return found


def test_complete_files_come_and_open_ones_wait(house: House, replica: Path) -> None:
    (hours(replica) / f"{NAMES[0]}.jsonl").write_text("{}\n")
    (hours(replica) / f"{NAMES[1]}.part").write_text("open\n")
    (hours(replica) / f"{NAMES[2]}.bin").write_bytes(b"\xff\x00")
    assert not collected.publish(house.hub, COLLECT, replica)
    assert not collected.publish(house.hub, COLLECT, replica)
    place = "mdc/one/2026/11/29/04"
    assert blobs(house.hub) == {f"{place}/{NAMES[0]}.jsonl": b"{}\n", f"{place}/{NAMES[2]}": b"\xff\x00"}
    assert [file.name for file in hours(replica).iterdir()] == [f"{NAMES[1]}.part"]


def test_the_open_file_of_a_dead_worker_comes_after_a_while_and_of_an_ended_replica_at_once(
    house: House, replica: Path
) -> None:
    dead, open_ = (hours(replica) / f"{name}.part" for name in NAMES[:2])
    dead.write_text("dead\n")
    open_.write_text("open\n")
    long_ago = time.time() - house.hub.settings.collection_flush_s - 60
    os.utime(dead, (long_ago, long_ago))
    assert not collected.publish(house.hub, COLLECT, replica)
    assert list(blobs(house.hub).values()) == [b"dead\n"]
    assert not collected.publish(house.hub, COLLECT, replica, is_over=True)
    assert sorted(blobs(house.hub).values()) == [b"dead\n", b"open\n"]


def test_links_pipes_and_other_names_are_no_collected_data(house: House, replica: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / f"{NAMES[0]}.jsonl").write_text("secret\n")
    (hours(replica) / f"{NAMES[0]}.jsonl").symlink_to(secret / f"{NAMES[0]}.jsonl")
    (replica / "collected" / "request" / "2027").symlink_to(secret)
    os.mkfifo(hours(replica) / f"{NAMES[1]}.jsonl")
    (hours(replica) / "x.jsonl").write_text("no writer's name\n")
    collected.publish(house.hub, COLLECT, replica, is_over=True)
    assert blobs(house.hub) == {}


def test_a_collection_that_is_a_link_is_left_alone(house: House, replica: Path, tmp_path: Path) -> None:
    (hours(replica) / f"{NAMES[0]}.jsonl").write_text("moved\n")
    (replica / "collected" / "request").rename(tmp_path / "elsewhere")
    (replica / "collected" / "request").symlink_to(tmp_path / "elsewhere")
    collected.publish(house.hub, COLLECT, replica, is_over=True)
    assert blobs(house.hub) == {}


@pytest.fixture
def unwritable(house: House) -> Path:
    """What stands where the region's blobs should be, and is no folder."""
    region = house.hub.settings.home / "regions" / house.hub.settings.regions[0]
    region.parent.mkdir(exist_ok=True)
    region.write_text("no folder")
    return region


def test_trouble_is_told_once_and_tried_ever_more_rarely(
    house: House, replica: Path, unwritable: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    (hours(replica) / f"{NAMES[0]}.jsonl").write_text("kept\n")
    courier = collected.Courier(house.hub, COLLECT, replica, clock=lambda: now[0])
    tries = 0
    with caplog.at_level(logging.INFO):
        for _ in range(3600):  # an hour, a look each second
            now[0] += 1
            before = courier.failures
            assert not courier.bring()
            tries += courier.failures - before
        assert len(caplog.records) == 1
        assert "cannot be brought" in caplog.text
        assert tries < 25
        unwritable.unlink()
        now[0] += 300
        assert courier.bring()
    assert "comes to the blob store again" in caplog.text
    assert list(blobs(house.hub).values()) == [b"kept\n"]


def test_what_has_no_place_any_more_is_given_up_with_its_replica(house: House, replica: Path) -> None:
    (hours(replica) / f"{NAMES[0]}.jsonl").write_text("homeless\n")
    elsewhere = {"collections": {"request": {**COLLECT["collections"]["request"], "container": "gone"}}}
    assert not collected.Courier(house.hub, elsewhere, replica).bring()
    assert collected.Courier(house.hub, elsewhere, replica).bring(is_over=True)


def test_what_an_ended_replica_left_is_brought_by_the_next_server(idle: Fleet) -> None:
    hub = idle.hub
    hub.containers.create("events", region=hub.settings.regions[0], owner=idle.scope.key)  # type: ignore[arg-type]
    key = idle.deploy("blue")
    left = kits.deployment_folder(hub, key) / "a-replica-of-before"
    folder = left / "collected" / "request" / "2026" / "11" / "29" / "04"
    folder.mkdir(parents=True)
    (folder / f"{NAMES[0]}.part").write_text("left\n")
    collected.remember(COLLECT, left)
    idle.start()
    idle.until(lambda: blobs(hub) and not left.exists(), what="what was left", key=key)
    assert list(blobs(hub).values()) == [b"left\n"]


__all__ = ["house"]
