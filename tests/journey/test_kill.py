"""A server killed fifty times at random moments, under uploads, creates and jobs, and the audit that follows."""

import hashlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.journey.console import COMMAND, CommandLine, clean_environment

KILLS = 50
LONGEST_LIFE_S = 1.2
LONGEST_WAIT_S = 5.0
START_S = 60.0
SETTLE_S = 240.0
PATIENCE = 5
"""How often a living server may refuse a thing before that is a finding; dead ones are asked again without end."""

Files = dict[str, str]  # path -> SHA-256

JOB = """
type: pipeline
settings: {default_compute: "azureml:cpu-cluster", force_rerun: true}
jobs:
  first: &node
    type: command
    component: azureml://registries/contoso/components/writer/versions/1
    inputs: {word: NAME}
  second: *node
"""
WRITER = """
name: writer
version: 1
type: command
inputs: {word: {type: string}}
outputs: {file: {type: uri_folder}}
environment: {image: docker.io/python}
command: echo ${{inputs.word}} > ${{outputs.file}}/word.txt
"""


@dataclass
class Ledger:
    """What the server said yes to."""

    models: dict[tuple[str, str], Files] = field(default_factory=dict)
    components: set[str] = field(default_factory=set)
    jobs: set[str] = field(default_factory=set)
    troubles: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    alive: threading.Event = field(default_factory=threading.Event)  # spares asking a server that is known to be dead

    @property
    def acknowledged(self) -> int:
        """How often the server said yes."""
        return len(self.models) + len(self.components) + len(self.jobs)


class Mortal:
    """`entrepot up` in the foreground, to be killed."""

    def __init__(self, az: CommandLine) -> None:
        self._log = (az.home.parent / "server.log").open("a")
        self.process = subprocess.Popen(
            [str(COMMAND), "up"],
            env=clean_environment(az.home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready http://"), f"did not come up again: {line!r}, see {self._log.name}"

    def end(self, number: signal.Signals) -> None:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        self.process.wait(START_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_model(folder: Path, *, chance: random.Random) -> Files:
    """Make a small model of a few files, now and then with one that is sent as a stream of its own."""
    folder.mkdir(parents=True)
    sizes = [chance.randrange(1, 60_000) for _ in range(chance.randrange(1, 6))]
    if chance.random() < 0.25:
        sizes.append(9 << 20)
    files: Files = {}
    for number, size in enumerate(sizes):
        data = chance.randbytes(size)
        (folder / f"part-{number}.bin").write_bytes(data)
        files[f"part-{number}.bin"] = digest(data)
    return files


def insist(az: CommandLine, ledger: Ledger, *words: object) -> bool:
    """Say one command until the server says yes; False when the day is over first, or when it keeps saying no."""
    refusals = 0
    while not ledger.stopped.is_set():
        if not ledger.alive.wait(1):
            continue
        try:
            result = az.run(*words, timeout_s=60)
        except subprocess.TimeoutExpired:
            ledger.troubles.append(f"no answer to {words} within a minute")
            return False
        if result.code == 0:
            return True
        refusals = refusals + 1 if "ERROR: (" in result.err else 0  # an error with a code is an answer
        if refusals == PATIENCE:
            ledger.troubles.append(str(result))
            return False
    return False


def publish_models(az: CommandLine, ledger: Ledger, folder: Path) -> None:
    """Upload one model after the other, alternately to the registry and to the workspace."""
    chance = random.Random(1)
    for number in range(10_000):
        if ledger.stopped.is_set():
            return
        name = f"model-{number}"
        files = write_model(folder / name, chance=chance)
        scope = ("--registry-name", "contoso") if number % 2 else ("-w", "dev")
        if insist(az, ledger, "ml", "model", "create", "-n", name, "-v", "1", "--path", folder / name, *scope):
            ledger.models[name, "contoso" if number % 2 else "dev"] = files


def publish_components(az: CommandLine, ledger: Ledger, folder: Path) -> None:
    """Create one component version after the other."""
    (folder / "writer.yml").write_text(WRITER)
    for number in range(2, 10_000):
        if ledger.stopped.is_set():
            return
        version = f"version={number}"
        if insist(
            az, ledger, "ml", "component", "create", "-f", folder / "writer.yml", "--registry-name", "contoso",
            "--set", version,
        ):  # fmt: skip
            ledger.components.add(str(number))


def submit_jobs(az: CommandLine, ledger: Ledger, folder: Path) -> None:
    """Submit one pipeline after the other. A name that is taken by our own earlier try is a yes."""
    for number in range(10_000):
        if ledger.stopped.is_set():
            return
        name = f"job-{number}"
        (folder / f"{name}.yml").write_text(JOB.replace("NAME", name))
        if insist(az, ledger, "ml", "job", "create", "-f", folder / f"{name}.yml", "-n", name):
            ledger.jobs.add(name)
        time.sleep(0.5)


def killed_again_and_again(az: CommandLine, ledger: Ledger) -> None:
    """Start and kill the server at random moments of its life, then let it live."""
    chance = random.Random(2)
    for _ in range(KILLS):
        server = Mortal(az)
        ledger.alive.set()
        if chance.random() < 0.5:  # on a busy machine, too, some shall live to acknowledge something
            before, end = ledger.acknowledged, time.monotonic() + LONGEST_WAIT_S
            while ledger.acknowledged == before and time.monotonic() < end:
                time.sleep(0.01)
        time.sleep(chance.uniform(0, LONGEST_LIFE_S))
        server.end(signal.SIGKILL)
        ledger.alive.clear()


@pytest.fixture(scope="module")
def survivor(tmp_path_factory: pytest.TempPathFactory) -> tuple[CommandLine, Ledger]:
    """A home whose server was killed fifty times and then finished its work, and what it had said yes to."""
    top = tmp_path_factory.mktemp("kill")
    az = CommandLine(top / "home", folder=top)
    first = Mortal(az)
    az("group", "create", "-n", "rg", "-l", "eastus")
    az("configure", "--defaults", "group=rg", "workspace=dev", "location=eastus")
    (top / "registry.yml").write_text(
        "name: contoso\nlocation: eastus\nreplication_locations: [{location: eastus}, {location: westus}]\n"
    )
    az("ml", "registry", "create", "-f", "registry.yml")
    az("ml", "workspace", "create", "-n", "dev")
    (top / "writer.yml").write_text(WRITER)
    az("ml", "component", "create", "-f", "writer.yml", "--registry-name", "contoso")
    first.end(signal.SIGTERM)

    ledger = Ledger()
    works: list[Callable[[CommandLine, Ledger, Path], None]] = [publish_models, publish_components, submit_jobs]
    workers = []
    for work in works:
        folder = top / work.__name__
        folder.mkdir()
        workers.append(threading.Thread(target=work, args=(az, ledger, folder), name=work.__name__))
    for worker in workers:
        worker.start()
    try:
        killed_again_and_again(az, ledger)
        last = Mortal(az)
    finally:
        ledger.stopped.set()
        for worker in workers:
            worker.join(120)
    wait_for_jobs(az, ledger)
    wait_for_copies(az)
    last.end(signal.SIGTERM)
    return az, ledger


def wait_for_jobs(az: CommandLine, ledger: Ledger) -> None:
    """Wait until no acknowledged job is under way."""
    end = time.monotonic() + SETTLE_S
    while time.monotonic() < end:
        jobs = az("ml", "job", "list", "--max-results", "10000", "--query", "[].{name:name, status:status}")
        if {job["status"] for job in jobs if job["name"] in ledger.jobs} <= {"Completed", "Failed", "Canceled"}:
            return
        time.sleep(0.5)


def wait_for_copies(az: CommandLine) -> None:
    """Wait until nothing of the registry is still being copied."""
    end = time.monotonic() + SETTLE_S
    while time.monotonic() < end:
        models = az("ml", "model", "list", "--registry-name", "contoso")
        shown = [az("ml", "model", "show", "-n", m["name"], "-v", "1", "--registry-name", "contoso") for m in models]
        if all(set(model["regions"].values()) == {"Succeeded"} for model in shown):
            return
        time.sleep(0.5)


@pytest.fixture(scope="module")
def reborn(survivor: tuple[CommandLine, Ledger]) -> "tuple[CommandLine, Ledger]":
    """The same home with a server that runs."""
    az, ledger = survivor
    az.text("up", "--detach")
    return az, ledger


@pytest.mark.slow
def test_work_went_on_between_the_kills(survivor: tuple[CommandLine, Ledger]) -> None:
    _, ledger = survivor
    assert ledger.troubles == []
    assert ledger.acknowledged >= KILLS // 2
    assert min(len(ledger.models), len(ledger.components), len(ledger.jobs)) >= KILLS // 10


@pytest.mark.slow
def test_every_stored_name_leads_to_its_own_bytes(survivor: tuple[CommandLine, Ledger]) -> None:
    """Also those that nobody was told of: content under its digest, and manifests whose files are all there."""
    az, _ = survivor
    regions = [region for region in (az.home / "regions").iterdir() if (region / "sha256").is_dir()]
    assert regions
    for region in regions:
        for kind in ("sha256", "snapshots"):
            for file in (region / kind).glob("*/*"):
                assert digest(file.read_bytes()) == file.parent.name + file.name, file
        for manifest in (region / "snapshots").glob("*/*"):
            for entry in json.loads(manifest.read_bytes())["files"]:
                name = entry["digest"]
                assert (region / "sha256" / name[:2] / name[2:]).stat().st_size == entry["size"], manifest


@pytest.mark.slow
def test_every_acknowledged_model_is_whole(reborn: tuple[CommandLine, Ledger], tmp_path: Path) -> None:
    az, ledger = reborn
    for (name, scope), files in ledger.models.items():
        where = ("--registry-name", "contoso") if scope == "contoso" else ("-w", "dev")
        az.text("ml", "model", "download", "-n", name, "-v", "1", "-p", tmp_path / scope, *where)
        found = {file.name: digest(file.read_bytes()) for file in (tmp_path / scope / name).rglob("*.bin")}
        assert found == files, f"{name} in {scope}"


@pytest.mark.slow
def test_everything_that_lists_show_is_whole(reborn: tuple[CommandLine, Ledger], tmp_path: Path) -> None:
    """A create that was cut off may have happened or not, but never by halves."""
    az, ledger = reborn
    for scope, where in (("contoso", ("--registry-name", "contoso")), ("dev", ("-w", "dev"))):
        listed = {model["name"] for model in az("ml", "model", "list", *where)}
        unconfirmed = listed - {name for name, place in ledger.models if place == scope}
        assert {name for name, place in ledger.models if place == scope} <= listed
        for name in unconfirmed:
            az.text("ml", "model", "download", "-n", name, "-v", "1", "-p", tmp_path / scope, *where)
    versions = {
        row["version"]
        for row in az("ml", "component", "list", "-n", "writer", "--registry-name", "contoso", "-r", "100000")
    }
    assert ledger.components <= versions


def why(az: CommandLine, job: str) -> list[object]:
    """Return what a pipeline's steps say of their ends."""
    return [(step["display_name"], step["status"], step.get("error")) for step in az("ml", "job", "list", "-p", job)]


@pytest.mark.slow
def test_every_acknowledged_job_ran_to_its_end(reborn: tuple[CommandLine, Ledger], tmp_path: Path) -> None:
    az, ledger = reborn
    shown = az("ml", "job", "list", "--max-results", "10000")
    states = {job["name"]: job["status"] for job in shown}
    assert ledger.jobs <= set(states)
    unfinished = {name: why(az, name) for name in ledger.jobs if states[name] != "Completed"}
    assert unfinished == {}
    for name in sorted(ledger.jobs)[:5]:
        children = az("ml", "job", "list", "-p", name)
        assert sorted(child["display_name"] for child in children) == ["first", "second"]
        for child in children:
            target = tmp_path / child["name"]
            az.text("ml", "job", "download", "-n", child["name"], "--output-name", "file", "-p", target)
            assert next(target.rglob("word.txt")).read_text() == f"{name}\n"


@pytest.mark.slow
def test_no_process_of_a_job_was_left_behind(reborn: tuple[CommandLine, Ledger]) -> None:
    az, _ = reborn
    az.text("down")
    end = time.monotonic() + 20
    while (left := processes_of(az.home)) and time.monotonic() < end:
        time.sleep(0.2)
    assert left == []


def processes_of(home: Path) -> list[str]:
    """Return the command lines of living processes that name this home."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(home) in words:
                found.append(words)
    return found
