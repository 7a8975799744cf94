"""What every ComputeBackend must do, as tests. An implementation's own test class inherits them and gives a fixture:

class TestMine(ComputeContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> ComputeBackend: ...

The machine needs sh, setsid and flock (util-linux).
"""

import itertools
import socket
import subprocess
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from entrepot.compute.backend import ComputeBackend, EnvironmentSpec, Launch, Layer, Limits, Mount, Prepared, State

LONG_S = 60.0
"""Longer than anything here takes, on a busy machine too: a test that reaches it has failed."""

_numbers = itertools.count(1)
_DAEMON = (
    'setsid sh -c \'trap "" TERM; exec flock held sh -c "touch up; sleep 600"\' >daemon.log 2>&1 </dev/null & '
    "until [ -e up ]; do sleep 0.01; done; "
)
_EAT_MEMORY = "held = [bytearray(1 << 20) for _ in range(4096)]"


def shell(folder: Path, command: str, **more: object) -> Launch:
    """Return a launch of a shell command in a working folder of its own below `folder`."""
    place = folder / f"launch-{next(_numbers)}"
    (place / "work").mkdir(parents=True)
    launch = Launch(
        id=f"{folder.name}-{place.name}", argv=("sh", "-c", command), folder=place / "state", log=place / "log.txt",
        cwd=place / "work", environment={},
    )  # fmt: skip
    return replace(launch, **more)  # type: ignore[arg-type]


def await_file(path: Path, holds: str = "") -> None:
    """Return when the file is there and holds the text; fails after a long time."""
    end = time.monotonic() + LONG_S
    while not (path.exists() and holds in path.read_text()):
        assert time.monotonic() < end, f"{path.name} did not come to hold {holds!r}"
        time.sleep(0.005)


_REPLICA = """
import os, socket, sys
place = os.environ["ENTREPOT_LISTEN"]
if place.startswith("fd:"):
    listener = socket.socket(fileno=int(place[3:]))
else:
    host, port = place.rsplit(":", 1)
    listener = socket.create_server((host, int(port)))
print("up", flush=True)
while True:
    caller, _ = listener.accept()
    if sys.argv[1] == "exit":
        sys.exit(5)
    caller.sendall(sys.argv[1].encode())
    caller.close()
"""


def replica(folder: Path, python: Prepared, *, answer: str = "one") -> Launch:
    """Return a launch that answers every connection with a text, or ends at the first one when it is `exit`."""
    return shell(folder, "", argv=("python", "-c", _REPLICA, answer), prepared=python, listens=True)


def wheel(folder: Path, name: str, version: str) -> None:
    """Write a wheel whose module, and whose program, tell its version."""
    about = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"WORD = {version!r}\ndef main():\n    print(WORD)\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{about}/RECORD"))
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in {**files, f"{about}/RECORD": record}.items():
            archive.writestr(path, text)


def ask(address: tuple[str, int]) -> bytes:
    """Return what a replica says to a new connection; nothing when it breaks the connection."""
    with socket.create_connection(address, timeout=LONG_S) as connection:
        try:
            return connection.recv(100)
        except ConnectionResetError:
            return b""


def is_held(launch: Launch) -> bool:
    """Say whether the daemon of `_DAEMON` lives: it holds a lock on a file."""
    return subprocess.run(["flock", "-n", str(launch.cwd / "held"), "true"], check=False).returncode != 0


class RunningContract:
    """From launch to end: what runs, with what around it, and what is told of it."""

    def test_a_command_that_ends_with_0_has_succeeded(self, backend: ComputeBackend, tmp_path: Path) -> None:
        launch = shell(tmp_path, "echo out; echo err >&2")
        backend.launch(launch)
        status = backend.wait(launch.id, launch.folder, timeout_s=LONG_S)
        assert (status.state, status.exit_code, status.reason) == (State.SUCCEEDED, 0, "")
        assert status.started is not None and status.ended is not None and status.started <= status.ended
        assert launch.log.read_text() == "out\nerr\n"

    def test_a_command_that_ends_otherwise_has_failed_with_its_code(
        self, backend: ComputeBackend, tmp_path: Path
    ) -> None:
        launch = shell(tmp_path, "exit 3")
        backend.launch(launch)
        status = backend.wait(launch.id, launch.folder, timeout_s=LONG_S)
        assert (status.state, status.exit_code, status.reason) == (State.FAILED, 3, "exit code 3")

    def test_a_command_that_is_killed_has_failed_by_the_signals_name(
        self, backend: ComputeBackend, tmp_path: Path
    ) -> None:
        launch = shell(tmp_path, "kill -SEGV $$")
        backend.launch(launch)
        status = backend.wait(launch.id, launch.folder, timeout_s=LONG_S)
        assert (status.state, status.exit_code) == (State.FAILED, 139)
        assert status.reason == "killed by SIGSEGV (exit code 139)"

    def test_a_program_that_is_not_there_fails_and_the_log_names_it(
        self, backend: ComputeBackend, tmp_path: Path
    ) -> None:
        launch = shell(tmp_path, "", argv=("no-such-program", "x"))
        backend.launch(launch)
        assert backend.wait(launch.id, launch.folder, timeout_s=LONG_S).state is State.FAILED
        assert "no-such-program" in launch.log.read_text()

    def test_variables_are_those_of_the_launch_and_not_the_servers(
        self, backend: ComputeBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SERVER_SECRET", "hunter2")
        value = "with spaces, 'quotes' and ünïcode\nand a line"
        launch = shell(tmp_path, 'printf %s "$GIVEN"; env', environment={"GIVEN": value})
        backend.launch(launch)
        backend.wait(launch.id, launch.folder, timeout_s=LONG_S)
        assert launch.log.read_text().startswith(value)
        assert "hunter2" not in launch.log.read_text()

    def test_the_working_folder_is_writable_and_current(self, backend: ComputeBackend, tmp_path: Path) -> None:
        launch = shell(tmp_path, "pwd; mkdir outputs; echo 1 > outputs/result")
        backend.launch(launch)
        backend.wait(launch.id, launch.folder, timeout_s=LONG_S)
        assert launch.log.read_text() == f"{launch.cwd}\n"
        assert (launch.cwd / "outputs" / "result").read_text() == "1\n"

    def test_the_log_is_written_while_the_command_runs(self, backend: ComputeBackend, tmp_path: Path) -> None:
        launch = shell(tmp_path, "echo begun; until [ -e go ]; do sleep 0.01; done; echo done")
        backend.launch(launch)
        await_file(launch.log, "begun\n")
        assert backend.poll(launch.id, launch.folder).state is State.RUNNING
        (launch.cwd / "go").touch()
        assert backend.wait(launch.id, launch.folder, timeout_s=LONG_S).state is State.SUCCEEDED
        assert launch.log.read_text() == "begun\ndone\n"

    def test_an_environment_is_there_and_its_python_is_the_first_on_the_path(
        self, backend: ComputeBackend, python: Prepared, tmp_path: Path
    ) -> None:
        launch = shell(tmp_path, "python -c 'import sys, ssl, json; print(sys.prefix)'", prepared=python)
        backend.launch(launch)
        status = backend.wait(launch.id, launch.folder, timeout_s=LONG_S)
        assert launch.log.read_text() == f"{python.bin_path.parent}\n"
        assert status.state is State.SUCCEEDED

    def test_what_a_command_installs_is_its_own_and_the_environment_stays(
        self, backend: ComputeBackend, python: Prepared, tmp_path: Path
    ) -> None:
        for version in ("1.0", "2.0"):
            wheel(tmp_path, "parcel", version)
        before = sorted(python.bin_path.parent.rglob("*"))
        command = (
            "pip install --no-index ./parcel-1.0-py3-none-any.whl && python -c 'import parcel; print(parcel.WORD)'"
            " && python3 -m pip install -q --no-index ./parcel-2.0-py3-none-any.whl && parcel"
            " && ls -A $(python -c 'import sys; print(sys.prefix)')"
        )
        launch = shell(tmp_path, command, prepared=python, installs=True, cwd=tmp_path)
        backend.launch(launch)
        status = backend.wait(launch.id, launch.folder, timeout_s=LONG_S)
        assert status.state is State.SUCCEEDED, launch.log.read_text()
        _, both, names = launch.log.read_text().partition("1.0\n2.0\n")
        assert both
        assert {path.name for path in python.bin_path.parent.iterdir()} <= set(names.split())
        assert sorted(python.bin_path.parent.rglob("*")) == before

    def test_what_is_written_to_a_writable_mount_stays(self, backend: ComputeBackend, tmp_path: Path) -> None:
        given, out = tmp_path / "given", tmp_path / "out"
        given.mkdir()
        out.mkdir()
        (given / "data").write_text("42")
        mounts = (Mount(given), Mount(out, is_writable=True))
        launch = shell(tmp_path, f"cp '{given}/data' '{out}/copy'", mounts=mounts)
        backend.launch(launch)
        assert backend.wait(launch.id, launch.folder, timeout_s=LONG_S).state is State.SUCCEEDED
        assert (out / "copy").read_text() == "42"

    def test_a_read_only_mount_cannot_be_changed_where_the_backend_says_so(
        self, backend: ComputeBackend, tmp_path: Path
    ) -> None:
        if not backend.protects_mounts():
            pytest.skip("this backend does not promise it")
        given = tmp_path / "given"
        given.mkdir()
        (given / "data").write_text("42")
        script = f"echo 43 > '{given}/data'; rm -f '{given}/data'; touch '{given}/new'; chmod 777 '{given}/data'"
        launch = shell(tmp_path, script, mounts=(Mount(given),))
        backend.launch(launch)
        assert backend.wait(launch.id, launch.folder, timeout_s=LONG_S).state is State.FAILED
        assert (given / "data").read_text() == "42"
        assert [path.name for path in given.iterdir()] == ["data"]
        assert launch.log.read_text().count("Read-only file system") == 4


class OnceContract:
    """One id is one run."""

    def test_launching_the_same_id_twice_runs_it_once(self, backend: ComputeBackend, tmp_path: Path) -> None:
        launch = shell(tmp_path, "echo run; until [ -e go ]; do sleep 0.01; done")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(backend.launch, [launch] * 8))
        await_file(launch.log, "run")
        backend.launch(launch)
        (launch.cwd / "go").touch()
        assert backend.wait(launch.id, launch.folder, timeout_s=LONG_S).state is State.SUCCEEDED
        backend.launch(launch)
        assert backend.wait(launch.id, launch.folder, timeout_s=LONG_S).state is State.SUCCEEDED
        assert launch.log.read_text() == "run\n"

    def test_many_launches_at_once_do_not_meet(self, backend: ComputeBackend, tmp_path: Path) -> None:
        launches = [shell(tmp_path, f"echo {n}; exit {n}") for n in range(12)]
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(backend.launch, launches))
            statuses = list(pool.map(lambda one: backend.wait(one.id, one.folder, timeout_s=LONG_S), launches))
        assert [status.exit_code for status in statuses] == list(range(12))
        assert [launch.log.read_text() for launch in launches] == [f"{n}\n" for n in range(12)]

    def test_waiting_ends_at_its_timeout_and_the_launch_goes_on(self, backend: ComputeBackend, tmp_path: Path) -> None:
        launch = shell(tmp_path, "until [ -e go ]; do sleep 0.01; done")
        backend.launch(launch)
        assert backend.wait(launch.id, launch.folder, timeout_s=0.05).state is State.RUNNING
        (launch.cwd / "go").touch()
        assert backend.wait(launch.id, launch.folder, timeout_s=LONG_S).state is State.SUCCEEDED

    def test_what_was_never_launched_is_lost(self, backend: ComputeBackend, tmp_path: Path) -> None:
        assert backend.poll("never", tmp_path / "nothing").state is State.LOST
        assert backend.wait("never", tmp_path / "nothing", timeout_s=LONG_S).state is State.LOST


class EndingContract:
    """Cancel, limits, and what is left behind."""

    def test_cancel_lets_the_command_end_by_itself_within_the_grace(
        self, backend: ComputeBackend, tmp_path: Path
    ) -> None:
        script = "trap 'echo tidied; exit 0' TERM; echo up; while :; do sleep 0.01; done"
        launch = shell(tmp_path, script)
        backend.launch(launch)
        await_file(launch.log, "up")
        backend.cancel(launch.id, launch.folder, grace_s=LONG_S)
        status = backend.poll(launch.id, launch.folder)
        assert (status.state, status.reason) == (State.CANCELED, "canceled")
        assert launch.log.read_text().endswith("tidied\n")

    def test_the_shell_around_a_command_does_not_cost_it_its_grace(
        self, backend: ComputeBackend, tmp_path: Path
    ) -> None:
        inner = "trap 'sleep 0.3; echo tidied; exit 0' TERM; echo up; while :; do sleep 0.01; done"
        (tmp_path / "inner.sh").write_text(inner)
        command = f"sh '{tmp_path}/inner.sh' && echo after"
        launch = shell(tmp_path, command, mounts=(Mount(tmp_path / "inner.sh"),))
        backend.launch(launch)
        await_file(launch.log, "up")
        backend.cancel(launch.id, launch.folder, grace_s=LONG_S)
        assert backend.poll(launch.id, launch.folder).state is State.CANCELED
        assert "tidied\n" in launch.log.read_text()

    def test_cancel_kills_what_ignores_it(self, backend: ComputeBackend, tmp_path: Path) -> None:
        launch = shell(tmp_path, "trap '' TERM; echo up; while :; do sleep 0.01; done")
        backend.launch(launch)
        await_file(launch.log, "up")
        backend.cancel(launch.id, launch.folder, grace_s=0.1)
        assert backend.poll(launch.id, launch.folder).state is State.CANCELED

    def test_cancel_kills_daemonised_grandchildren(self, backend: ComputeBackend, tmp_path: Path) -> None:
        launch = shell(tmp_path, _DAEMON + "echo up; sleep 600")
        backend.launch(launch)
        await_file(launch.log, "up")
        assert is_held(launch)
        backend.cancel(launch.id, launch.folder, grace_s=0.1)
        assert not is_held(launch)
        assert backend.poll(launch.id, launch.folder).state is State.CANCELED

    def test_daemons_end_with_their_command(self, backend: ComputeBackend, tmp_path: Path) -> None:
        launch = shell(tmp_path, _DAEMON + "true")
        backend.launch(launch)
        assert backend.wait(launch.id, launch.folder, timeout_s=LONG_S).state is State.SUCCEEDED
        assert not is_held(launch)

    def test_cancel_twice_and_after_the_end_changes_nothing(self, backend: ComputeBackend, tmp_path: Path) -> None:
        launch = shell(tmp_path, "true")
        backend.launch(launch)
        backend.wait(launch.id, launch.folder, timeout_s=LONG_S)
        backend.cancel(launch.id, launch.folder)
        backend.cancel(launch.id, launch.folder)
        assert backend.poll(launch.id, launch.folder).state is State.SUCCEEDED

    def test_canceled_before_its_launch_it_never_runs(self, backend: ComputeBackend, tmp_path: Path) -> None:
        launch = shell(tmp_path, "touch ran")
        backend.cancel(launch.id, launch.folder)
        backend.launch(launch)
        assert backend.wait(launch.id, launch.folder, timeout_s=LONG_S).state is State.CANCELED
        assert not (launch.cwd / "ran").exists()

    def test_a_time_limit_ends_the_command(self, backend: ComputeBackend, tmp_path: Path) -> None:
        launch = shell(tmp_path, "sleep 600", limits=Limits(timeout_s=0.3))
        backend.launch(launch)
        status = backend.wait(launch.id, launch.folder, timeout_s=LONG_S)
        assert (status.state, status.reason) == (State.FAILED, "killed: over its time limit of 0.3 s")

    def test_a_memory_limit_holds_and_is_told_of(
        self, backend: ComputeBackend, python: Prepared, tmp_path: Path
    ) -> None:
        limits = Limits(memory_bytes=200 << 20)
        launch = shell(tmp_path, "", argv=("python", "-c", _EAT_MEMORY), prepared=python, limits=limits)
        backend.launch(launch)
        status = backend.wait(launch.id, launch.folder, timeout_s=LONG_S)
        assert status.state is State.FAILED
        assert "memory limit of 200 MB" in status.reason or "bounded to 200 MB" in status.reason


class ListeningContract:
    """Replicas: launches that have an address."""

    def test_a_replica_answers_at_its_address_while_it_runs(
        self, backend: ComputeBackend, python: Prepared, tmp_path: Path
    ) -> None:
        launch = replica(tmp_path, python)
        assert backend.address(launch.id, launch.folder) is None
        backend.launch(launch)
        await_file(launch.log, "up")
        address = backend.address(launch.id, launch.folder)
        assert address is not None
        assert ask(address) == b"one"
        backend.cancel(launch.id, launch.folder, grace_s=1)
        assert backend.address(launch.id, launch.folder) is None
        with pytest.raises(ConnectionRefusedError):
            ask(address)

    def test_a_replica_that_dies_refuses_connections_and_the_next_one_has_another_launch(
        self, backend: ComputeBackend, python: Prepared, tmp_path: Path
    ) -> None:
        launch = replica(tmp_path, python, answer="exit")
        backend.launch(launch)
        await_file(launch.log, "up")
        address = backend.address(launch.id, launch.folder)
        assert address is not None
        ask(address)
        assert backend.wait(launch.id, launch.folder, timeout_s=LONG_S).state is State.FAILED
        assert backend.address(launch.id, launch.folder) is None
        with pytest.raises(ConnectionRefusedError):
            ask(address)

    def test_many_replicas_at_once_have_addresses_of_their_own(
        self, backend: ComputeBackend, python: Prepared, tmp_path: Path
    ) -> None:
        launches = [replica(tmp_path, python, answer=f"{number}") for number in range(6)]
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(backend.launch, launches))
        for number, launch in enumerate(launches):
            await_file(launch.log, "up")
            address = backend.address(launch.id, launch.folder)
            assert address is not None
            assert ask(address) == str(number).encode()
        for launch in launches:
            backend.cancel(launch.id, launch.folder, grace_s=0.1)

    def test_a_layer_lies_beside_the_environment_and_not_in_it(
        self, backend: ComputeBackend, python: Prepared, tmp_path: Path
    ) -> None:
        package = tmp_path / "package"
        package.mkdir()
        (package / "__init__.py").write_text("WORD = 'beside'\n")
        before = sorted(python.bin_path.parent.rglob("*"))
        layer = backend.lay_beside(python, Layer("entrepot_probe", "", package), log=print)
        assert backend.lay_beside(python, Layer("entrepot_probe", "", package), log=print) == layer
        assert sorted(python.bin_path.parent.rglob("*")) == before
        code = f"import sys; sys.path.append({str(layer)!r}); import entrepot_probe; print(entrepot_probe.WORD)"
        launch = shell(tmp_path, "", argv=("python", "-c", code), prepared=python, layer=layer)
        backend.launch(launch)
        backend.wait(launch.id, launch.folder, timeout_s=LONG_S)
        assert launch.log.read_text() == "beside\n"
        (package / "__init__.py").write_text("WORD = 'changed'\n")
        assert backend.lay_beside(python, Layer("entrepot_probe", "", package), log=print) != layer


class ComputeContract(RunningContract, OnceContract, EndingContract, ListeningContract):
    """The whole contract."""

    @pytest.fixture
    def python(self, backend: ComputeBackend) -> Prepared:
        """A bare interpreter as an environment."""
        return backend.prepare(EnvironmentSpec(image="docker.io/python"), log=print)
