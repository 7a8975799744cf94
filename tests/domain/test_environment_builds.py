"""Environment builds: queued with the environment, one per recipe, told by `environment show`, failures too."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from entrepot.compute.backend import EnvironmentSpec, Launch, Layer, Prepared, Status
from entrepot.core.errors import BuildFailed, Unavailable, Unsupported
from entrepot.core.ids import AssetRef, RegistryScope
from entrepot.core.nouns import ENVIRONMENT
from entrepot.domain import environments, gallery, registries
from entrepot.domain.assets import catalog
from entrepot.domain.assets.publishing.publication import publish
from entrepot.domain.hub import Hub
from entrepot.store.documents import Document, Finish, Work
from entrepot.testing.hub import OWNER, close_hub, make_hub, upload

CONDA = "dependencies:\n- python=3.11\n- pip:\n  - numpy==1.26\n"


class Bench:
    """A compute backend that builds nothing: it writes down what it was asked for, and fails on `numpy==9`."""

    name = "bench"

    def __init__(self) -> None:
        self.asked: list[EnvironmentSpec] = []
        self.contexts: list[dict[str, str]] = []
        self.built: set[str] = set()
        self.most = 0
        self._guard = threading.Lock()
        self._running = 0

    def prepare(self, spec: EnvironmentSpec, *, log: Callable[[str], None]) -> Prepared:
        with self._guard:
            self._running += 1
            self.most = max(self.most, self._running)
            self.asked.append(spec)
        key = repr(spec.conda)
        is_cached = key in self.built
        if spec.context:
            self.contexts.append({path.name: path.read_text() for path in spec.context.iterdir()})
        if not is_cached:
            for number in range(3):
                log(f"step {number}\n")
        self.built.add(key)
        with self._guard:
            self._running -= 1
        if "numpy==9" in f"{key}{spec.image}":
            raise BuildFailed("numpy==9 cannot be had")
        return Prepared("id", Path("/py"), Path("/bin"), ("python 3.11.4 instead of 3.11.2",), is_cached=is_cached)

    def lay_beside(self, prepared: Prepared, layer: Layer, *, log: Callable[[str], None]) -> Path:
        raise Unsupported("Launching")

    def launch(self, launch: Launch) -> None:
        raise Unsupported("Launching")

    def poll(self, id: str, folder: Path) -> Status:
        raise Unsupported("Launching")

    def wait(self, id: str, folder: Path, *, timeout_s: float) -> Status:
        raise Unsupported("Launching")

    def cancel(self, id: str, folder: Path, *, grace_s: float = 5) -> None:
        raise Unsupported("Launching")

    def protects_mounts(self) -> bool:
        raise Unsupported("Launching")

    def address(self, id: str, folder: Path) -> tuple[str, int] | None:
        raise Unsupported("Launching")


REGISTRY = RegistryScope("envs")


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def hub(tmp_path: Path, bench: Bench) -> Iterator[Hub]:
    made = make_hub(tmp_path, backends={"bench": bench})
    registries.create(made, OWNER, "s1", "rg", "envs", {"location": "eastus"})
    yield made
    close_hub(made)


def environment(hub: Hub, name: str = "e", **properties: Any) -> Document:
    return catalog.create(hub, OWNER, AssetRef(REGISTRY, ENVIRONMENT, name, "1"), {"image": "x", **properties})[0]


def build_of(hub: Hub, name: str = "e") -> dict[str, Any]:
    found: dict[str, Any] = catalog.get(hub, OWNER, AssetRef(REGISTRY, ENVIRONMENT, name, "1")).body["entrepot"][
        "build"
    ]
    return found


def queued(hub: Hub) -> list[Work]:
    return list(hub.documents.lease([environments.QUEUE], owner="t", now=hub.clock.now(), seconds=60, limit=10))


def test_a_conda_environment_is_queued_with_its_creation_and_shows_its_log(hub: Hub, bench: Bench) -> None:
    document = environment(hub, condaFile=CONDA)
    assert document.body["entrepot"]["build"]["state"] == "Queued"
    (item,) = queued(hub)
    environments.build(hub, item)
    build = build_of(hub)
    assert (build["state"], build["log"]) == ("Succeeded", "step 0\nstep 1\nstep 2")
    assert build["substitutions"] == ["python 3.11.4 instead of 3.11.2"]
    assert bench.asked[0].conda == {"dependencies": ["python=3.11", {"pip": ["numpy==1.26"]}]}


def test_an_image_alone_is_not_built_before_it_is_needed(hub: Hub, bench: Bench) -> None:
    document = environment(hub)
    assert (queued(hub), build_of(hub)["state"]) == ([], "NotBuilt")
    lines: list[str] = []
    assert environments.ready(hub, document, log=lines.append).python == Path("/py")
    assert build_of(hub)["state"] == "Succeeded"
    assert lines == ["step 0\n", "step 1\n", "step 2\n"]


def test_builds_at_create_can_be_switched_off(tmp_path: Path, bench: Bench) -> None:
    quiet = make_hub(tmp_path / "quiet", backends={"bench": bench}, environment_builds_at_create=False)
    registries.create(quiet, OWNER, "s1", "rg", "envs", {"location": "eastus"})
    environment(quiet, condaFile=CONDA)
    assert queued(quiet) == []
    close_hub(quiet)


def test_a_build_that_fails_is_told_and_not_tried_for_ever(hub: Hub) -> None:
    document = environment(hub, condaFile="dependencies: [numpy==9]")
    (item,) = queued(hub)
    environments.build(hub, item)
    build = build_of(hub)
    assert (build["state"], build["error"]) == ("Failed", "numpy==9 cannot be had")
    assert "step 2" in build["log"]
    with pytest.raises(BuildFailed, match=r"^Environment e:1 of registry envs: numpy==9 cannot be had$"):
        environments.ready(hub, document, log=lambda _: None)


def test_equal_recipes_share_a_build(hub: Hub) -> None:
    environment(hub, "one", condaFile=CONDA)
    environment(hub, "two", condaFile=CONDA + "# a comment\n")
    assert len(queued(hub)) == 1
    assert build_of(hub, "one")["digest"] == build_of(hub, "two")["digest"]


def test_environments_of_one_recipe_that_are_published_together_queue_one_build(hub: Hub) -> None:
    refs = [AssetRef(REGISTRY, ENVIRONMENT, name, "1") for name in ("one", "two")]
    orders = [catalog.prepare(hub, OWNER, ref, {"image": "x", "condaFile": CONDA}) for ref in refs]
    publish(hub, OWNER, [order.drafts[0] for order in orders])
    assert len(queued(hub)) == 1
    assert (build_of(hub, "one"), build_of(hub, "one")["state"]) == (build_of(hub, "two"), "Queued")


def test_many_who_need_the_same_environment_build_it_once(hub: Hub, bench: Bench) -> None:
    document = environment(hub, condaFile=CONDA)
    with ThreadPoolExecutor(8) as pool:
        ready = list(pool.map(lambda _: environments.ready(hub, document, log=lambda _: None), range(8)))
    assert (bench.most, sum(not prepared.is_cached for prepared in ready)) == (1, 1)


def test_a_build_context_is_laid_out_for_the_build_and_cleaned_up(hub: Hub, bench: Bench) -> None:
    ref = AssetRef(REGISTRY, ENVIRONMENT, "ctx", "1")
    uri = upload(hub, ref, {"Dockerfile": "FROM x", "req.txt": "y"}, at="context")
    catalog.create(hub, OWNER, ref, {"build": {"contextUri": uri}})
    (item,) = queued(hub)
    environments.build(hub, item)
    assert bench.contexts == [{"Dockerfile": "FROM x", "req.txt": "y"}]
    assert bench.asked[0].image is None
    assert list((hub.settings.home / "builds").iterdir()) == []


def test_the_log_keeps_its_end_when_it_is_long(hub: Hub, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    document = environment(hub)
    wide = "x" * 1000

    def chatty(spec: EnvironmentSpec, *, log: Callable[[str], None]) -> Prepared:
        for number in range(500):
            log(f"{number} {wide}")
        return Prepared("id", Path("/py"), Path("/bin"))

    monkeypatch.setattr(bench, "prepare", chatty)
    environments.ready(hub, document, log=lambda _: None)
    log = build_of(hub)["log"]
    assert len(log) <= 64 << 10
    assert log.splitlines()[-1].startswith("499 ")


def test_curated_environments_wait_for_their_first_use(hub: Hub) -> None:
    gallery.publish(hub)
    assert queued(hub) == []


def test_without_a_backend_it_is_told(tmp_path: Path) -> None:
    bare = make_hub(tmp_path / "bare")
    registries.create(bare, OWNER, "s1", "rg", "envs", {"location": "eastus"})
    with pytest.raises(Unavailable, match="no compute backend"):
        environments.ready(bare, environment(bare), log=lambda _: None)
    close_hub(bare)


def test_creating_a_failed_environment_again_builds_it_anew_and_one_that_succeeded_not(hub: Hub, bench: Bench) -> None:
    first = environment(hub, condaFile="dependencies: [numpy==9]")
    (item,) = queued(hub)
    environments.build(hub, item)
    hub.documents.commit([Finish(item)])
    again = environment(hub, condaFile="dependencies: [numpy==9]")
    assert (again.revision, again.body["entrepot"]["build"]["state"]) == (first.revision, "Queued")
    assert len(queued(hub)) == 1
    environment(hub, condaFile="dependencies: [numpy==9]")  # it waits already
    assert queued(hub) == []

    environment(hub, "good", condaFile=CONDA)
    (item,) = queued(hub)
    environments.build(hub, item)
    hub.documents.commit([Finish(item)])
    assert environment(hub, "good", condaFile=CONDA).body["entrepot"]["build"]["state"] == "Succeeded"
    assert queued(hub) == []


def test_an_image_that_a_job_failed_to_get_is_tried_anew_when_it_is_created_again(hub: Hub, bench: Bench) -> None:
    document = environment(hub, condaFile=None, image="numpy==9")
    with pytest.raises(BuildFailed):
        environments.ready(hub, document, log=lambda _: None)
    assert build_of(hub)["state"] == "Failed"
    environment(hub, image="numpy==9")
    assert (build_of(hub)["state"], len(queued(hub))) == ("Queued", 1)
