"""The local backend: the contract with and without a sandbox, and what only processes of one machine can do."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from entrepot.compute import cgroups, processes
from entrepot.compute.backend import ComputeBackend, EnvironmentSpec, Launch, Limits, Mount, State
from entrepot.compute.local import LocalBackend
from entrepot.compute.sandbox import find_bwrap
from entrepot.core.errors import InvalidRequest, Unavailable
from entrepot.testing.compute_contract import LONG_S, ComputeContract, await_file, shell

needs_bwrap = pytest.mark.skipif(find_bwrap()[0] is None, reason=f"no sandbox here: {find_bwrap()[1]}")

_LAUNCH_AND_DIE = """
import os, signal, sys
from pathlib import Path
from entrepot.compute.backend import Launch
from entrepot.compute.local import LocalBackend

home, place, sandbox, id = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
script = "echo up; until [ -e go ]; do sleep 0.01; done; exit 7"
backend = LocalBackend(home, sandbox=sandbox)
backend.launch(Launch(id, ("sh", "-c", script), place / "state", place / "log.txt", place / "work", {}))
os.kill(os.getpid(), signal.SIGKILL)
"""


@needs_bwrap
class TestSandboxed(ComputeContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> ComputeBackend:
        return LocalBackend(tmp_path / "home", sandbox="bwrap")


class TestPlain(ComputeContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> ComputeBackend:
        return LocalBackend(tmp_path / "home", sandbox="none")


@pytest.fixture(params=[pytest.param("bwrap", marks=needs_bwrap), "none"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "home", sandbox=request.param)


@pytest.fixture
def sandboxed(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "home", sandbox="bwrap")


def started(launch: Launch) -> dict[str, int]:
    await_file(launch.folder / "started.json")
    document: dict[str, int] = json.loads((launch.folder / "started.json").read_text())
    return document


def test_the_status_says_how_it_was_run(backend: LocalBackend, tmp_path: Path) -> None:
    launch = shell(tmp_path, "python3 -c 'sum(range(3000000))' || true")
    backend.launch(launch)
    status = backend.wait(launch.id, launch.folder, timeout_s=LONG_S)
    assert status.sandbox == ("bwrap" if backend.protects_mounts() else "none")
    assert status.notes == ()
    assert status.cpu_s is not None and status.cpu_s > 0
    assert status.memory_bytes is not None and status.memory_bytes > 1 << 20


@pytest.mark.parametrize("sandbox", [pytest.param("bwrap", marks=needs_bwrap), "none"])
def test_a_launch_survives_the_kill_of_its_server_and_is_adopted(sandbox: str, tmp_path: Path) -> None:
    place = tmp_path / "place"
    (place / "work").mkdir(parents=True)
    id = f"{tmp_path.name}-{sandbox}"
    dead = subprocess.run([sys.executable, "-c", _LAUNCH_AND_DIE, str(tmp_path / "home"), str(place), sandbox, id])
    assert dead.returncode == -signal.SIGKILL
    backend = LocalBackend(tmp_path / "home", sandbox=sandbox)
    assert backend.poll(id, place / "state").state is State.RUNNING
    await_file(place / "log.txt", "up")
    assert backend.wait(id, place / "state", timeout_s=0.01).state is State.RUNNING
    (place / "work" / "go").touch()
    status = backend.wait(id, place / "state", timeout_s=LONG_S)
    assert (status.state, status.exit_code) == (State.FAILED, 7)


def test_an_adopted_launch_can_be_canceled(backend: LocalBackend, tmp_path: Path) -> None:
    launch = shell(tmp_path, "echo up; sleep 600")
    backend.launch(launch)
    await_file(launch.log, "up")
    other = LocalBackend(tmp_path / "home")
    other.cancel(launch.id, launch.folder, grace_s=1)
    assert other.poll(launch.id, launch.folder).state is State.CANCELED
    assert processes.marked(launch.id) == []


def test_a_dead_supervisor_is_a_lost_launch_and_nothing_of_it_is_left(backend: LocalBackend, tmp_path: Path) -> None:
    launch = shell(tmp_path, "setsid sh -c 'echo up; sleep 600' & sleep 600")
    backend.launch(launch)
    await_file(launch.log, "up")
    os.kill(started(launch)["pid"], signal.SIGKILL)
    status = backend.wait(launch.id, launch.folder, timeout_s=LONG_S)
    assert (status.state, status.reason) == (State.LOST, "its supervisor is gone")
    assert [pid for pid in processes.marked(launch.id) if processes.start_ticks(pid) is not None] == []
    assert backend.poll(launch.id, launch.folder).state is State.LOST


def test_another_process_with_the_same_pid_is_not_taken_for_the_supervisor(
    backend: LocalBackend, tmp_path: Path
) -> None:
    launch = shell(tmp_path, "sleep 600")
    backend.launch(launch)
    document = started(launch)
    os.kill(document["pid"], signal.SIGKILL)
    backend.wait(launch.id, launch.folder, timeout_s=LONG_S)
    (launch.folder / "started.json").write_text(json.dumps(document | {"pid": os.getpid()}))
    assert backend.poll(launch.id, launch.folder).state is State.LOST
    backend.cancel(launch.id, launch.folder)  # and this process is not signalled


def test_a_command_does_not_inherit_ignored_signals_or_open_files(backend: LocalBackend, tmp_path: Path) -> None:
    launch = shell(
        tmp_path, "grep -E 'SigIgn|SigBlk' /proc/self/status; ls /proc/self/fd | wc -l; readlink /proc/self/fd/0"
    )
    with (tmp_path / "open").open("w") as open_file:
        os.set_inheritable(open_file.fileno(), True)
        backend.launch(launch)
    backend.wait(launch.id, launch.folder, timeout_s=LONG_S)
    _, blocked, _, ignored, descriptors, standard_input = launch.log.read_text().split()
    assert int(blocked, 16) == 0
    assert int(ignored, 16) & 0x7FFFFFFF == 0  # 32 and 33 are the C library's own
    assert (descriptors, standard_input) == ("4", "/dev/null")


def test_the_log_is_appended_to(backend: LocalBackend, tmp_path: Path) -> None:
    launch = shell(tmp_path, "echo second")
    launch.log.write_text("first\n")
    backend.launch(launch)
    backend.wait(launch.id, launch.folder, timeout_s=LONG_S)
    assert launch.log.read_text() == "first\nsecond\n"


def test_the_temporary_folder_is_private_and_goes_away(backend: LocalBackend, tmp_path: Path) -> None:
    launch = shell(tmp_path, 'mkdir -p "$TMPDIR/a/b"; touch "$TMPDIR/a/b/c"; ln -s / "$TMPDIR/a/link"; ls "$TMPDIR"')
    backend.launch(launch)
    assert backend.wait(launch.id, launch.folder, timeout_s=LONG_S).state is State.SUCCEEDED
    end = time.monotonic() + LONG_S
    while (launch.folder / "tmp").exists():
        assert time.monotonic() < end, "the temporary folder is still there"
        time.sleep(0.01)
    assert Path("/usr").is_dir()  # the link was removed, not what it leads to


@needs_bwrap
def test_secrets_of_the_servers_home_cannot_be_read(sandboxed: LocalBackend, tmp_path: Path) -> None:
    secret = tmp_path / "home" / "run" / "token"
    secret.parent.mkdir(parents=True)
    secret.write_text("hunter2")
    tries = f"cat '{secret}'; cat /proc/1/root'{secret}'; cat '{tmp_path}'/*/run/token; ls '{tmp_path}/home'; ls /home"
    launch = shell(tmp_path, tries)
    sandboxed.launch(launch)
    assert sandboxed.wait(launch.id, launch.folder, timeout_s=LONG_S).state is State.FAILED
    assert "hunter2" not in launch.log.read_text()
    assert "token\n" not in launch.log.read_text()
    assert launch.log.read_text().count("No such file or directory") >= 4


@needs_bwrap
def test_the_launchs_own_records_and_the_system_cannot_be_forged(sandboxed: LocalBackend, tmp_path: Path) -> None:
    launch = shell(tmp_path, "touch /usr/x /etc/x; echo '{}' > ../state/exit.json; ls ..; kill -9 -1; exit 4")
    sandboxed.launch(launch)
    status = sandboxed.wait(launch.id, launch.folder, timeout_s=LONG_S)
    assert (status.state, status.exit_code) == (State.FAILED, 4)
    assert not Path("/usr/x").exists() and not Path("/etc/x").exists()
    assert "work" in launch.log.read_text().splitlines()
    assert "state" not in launch.log.read_text().splitlines()


@needs_bwrap
def test_the_kernels_settings_cannot_be_opened_for_writing_not_even_by_root(
    sandboxed: LocalBackend, tmp_path: Path
) -> None:
    opening = 'find /proc/sys /proc/irq /proc/bus /sys -type f | while read f; do (: >> "$f") && echo opened "$f"; done'
    launch = shell(tmp_path, f"({opening}) 2>/dev/null; test -e /proc/sys/kernel/core_pattern && echo looked")
    sandboxed.launch(launch)
    assert sandboxed.wait(launch.id, launch.folder, timeout_s=LONG_S).state is State.SUCCEEDED
    assert launch.log.read_text() == "looked\n"


@needs_bwrap
def test_variables_that_steer_the_loader_do_not_reach_the_wrapper(sandboxed: LocalBackend, tmp_path: Path) -> None:
    launch = shell(tmp_path, "echo ran", environment={"LD_PRELOAD": str(tmp_path / "evil.so")})
    sandboxed.launch(launch)
    assert sandboxed.wait(launch.id, launch.folder, timeout_s=LONG_S).state is State.SUCCEEDED
    complaints = [line for line in launch.log.read_text().splitlines() if "evil.so" in line]
    assert len(complaints) == 1  # of the shell's loader, inside; not of bwrap's, outside


@needs_bwrap
def test_mounts_inside_of_mounts_have_their_own_mode(sandboxed: LocalBackend, tmp_path: Path) -> None:
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    mounts = (Mount(inner, is_writable=True), Mount(inner.parent))
    launch = shell(tmp_path, f"touch '{inner}/yes'; touch '{inner.parent}/no'", mounts=mounts)
    sandboxed.launch(launch)
    assert sandboxed.wait(launch.id, launch.folder, timeout_s=LONG_S).state is State.FAILED
    assert [path.name for path in inner.iterdir()] == ["yes"]
    assert [path.name for path in inner.parent.iterdir()] == ["inner"]


@needs_bwrap
def test_loopback_is_reached_from_the_sandbox(sandboxed: LocalBackend, tmp_path: Path) -> None:
    import socket

    python = sandboxed.prepare(EnvironmentSpec(image="docker.io/python"), log=print)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(LONG_S)
        code = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]})).sendall(b'hello')"
        launch = shell(tmp_path, "", argv=("python", "-c", code), prepared=python)
        sandboxed.launch(launch)
        connection, _ = server.accept()
        with connection:
            assert connection.recv(5) == b"hello"
    assert sandboxed.wait(launch.id, launch.folder, timeout_s=LONG_S).state is State.SUCCEEDED


def test_out_of_memory_is_told_truthfully_where_groups_are_permitted(backend: LocalBackend, tmp_path: Path) -> None:
    held = cgroups.enforce("probe", Limits(memory_bytes=1 << 28), wrapper_processes=0)
    for folder in held.folders:
        Path(folder).rmdir()
    if not held.folders:
        pytest.skip("no permission for memory control groups here")
    python = backend.prepare(EnvironmentSpec(image="docker.io/python"), log=print)
    code = "held = [bytearray(1 << 20) for _ in range(4096)]"
    launch = shell(tmp_path, "", argv=("python", "-c", code), prepared=python, limits=Limits(memory_bytes=100 << 20))
    backend.launch(launch)
    status = backend.wait(launch.id, launch.folder, timeout_s=LONG_S)
    assert (status.reason, status.exit_code) == ("killed: over its memory limit of 100 MB", 137)
    assert not any(Path(folder).exists() for folder in cgroup_folders(launch))


def cgroup_folders(launch: Launch) -> list[str]:
    folders: list[str] = json.loads((launch.folder / "started.json").read_text())["cgroups"]
    assert folders
    return folders


def test_a_limit_of_processes_stops_a_fork_bomb(backend: LocalBackend, tmp_path: Path) -> None:
    launch = shell(tmp_path, "for i in 1 2 3 4 5 6 7 8 9; do sleep 600 & done; echo all", limits=Limits(processes=5))
    backend.launch(launch)
    status = backend.wait(launch.id, launch.folder, timeout_s=LONG_S)
    if status.notes:
        assert status.notes == ("no permission for pids control groups: the number of processes is not limited",)
    else:
        assert status.state is State.FAILED
        assert "all" not in launch.log.read_text().splitlines()


def test_a_limit_of_processors_is_accepted(backend: LocalBackend, tmp_path: Path) -> None:
    launch = shell(tmp_path, "true", limits=Limits(cpus=0.5))
    backend.launch(launch)
    assert backend.wait(launch.id, launch.folder, timeout_s=LONG_S).state is State.SUCCEEDED


def test_without_control_groups_memory_is_bounded_by_address_space(
    backend: LocalBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "_own_groups", dict)  # as on a machine that lets us make none
    python = backend.prepare(EnvironmentSpec(image="docker.io/python"), log=print)
    code = "held = [bytearray(1 << 20) for _ in range(4096)]"
    limits = Limits(memory_bytes=300 << 20, cpus=1.5, processes=4)
    launch = shell(tmp_path, "", argv=("python", "-c", code), prepared=python, limits=limits)
    backend.launch(launch)
    status = backend.wait(launch.id, launch.folder, timeout_s=LONG_S)
    assert status.reason == "exit code 1; its address space was bounded to 300 MB"
    assert "MemoryError" in launch.log.read_text()
    assert len(status.notes) == 3


def test_a_sandbox_that_is_asked_for_but_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    launch = shell(tmp_path, "true")
    with pytest.raises(Unavailable, match="The sandbox is set to bwrap, but bwrap is not installed"):
        LocalBackend(tmp_path / "home", sandbox="bwrap").launch(launch)
    assert not (launch.folder / "started.json").exists()


def test_without_bwrap_launches_run_plainly_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    backend = LocalBackend(tmp_path / "home")
    launch = shell(tmp_path, "true")
    backend.launch(launch)
    status = backend.wait(launch.id, launch.folder, timeout_s=LONG_S)
    assert (status.state, status.sandbox) == (State.SUCCEEDED, "none")
    assert status.notes == ("no sandbox: bwrap is not installed",)


def test_an_unknown_sandbox_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="sandbox is 'docker': auto, bwrap and none are known"):
        LocalBackend(tmp_path, sandbox="docker")


@pytest.mark.parametrize("version", [(3, 7), (3, 8), (3, 13)])
def test_the_supervisor_runs_on_other_pythons(version: tuple[int, int], tmp_path: Path) -> None:
    from entrepot.compute.interpreters import Interpreters, newest

    python = newest(Interpreters(tmp_path / "known.json").discover(), lambda found: found[:2] == version)
    if python is None:
        pytest.skip(f"no Python {version} here")
    launch = shell(tmp_path, "true")
    launch.folder.mkdir()
    order = {
        "id": "x", "folder": str(launch.folder), "lock": 2, "argv": ["sh", "-c", "echo hi; exit 3"],
        "cwd": str(launch.cwd), "environment": {"PATH": os.defpath}, "scratch": str(launch.folder / "tmp"),
        "wrapper": "", "wrapper_arguments": [], "wrapper_depth": 0, "sandbox": "none", "timeout_s": None,
        "grace_s": 1.0, "memory_bytes": None, "cgroups": [], "oom_counters": [], "address_space": None,
        "processors": [], "notes": ["ü"], "port": None, "listener": None,
    }  # fmt: skip
    import marshal

    import entrepot

    step = Path(entrepot.__file__).parent / "runtime" / "step.py"
    done = subprocess.run([str(python.path), "-S", "-I", str(step)], input=marshal.dumps(order, 2), capture_output=True)
    assert (done.stdout, done.returncode) == (b"hi\n", 0)
    assert json.loads((launch.folder / "exit.json").read_text())["reason"] == "exit code 3"
    assert json.loads((launch.folder / "started.json").read_text())["notes"] == ["ü"]
