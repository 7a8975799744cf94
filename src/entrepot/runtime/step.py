"""The supervisor of one launch: starts the command, enforces its limits in time, and records how it ended.

Run as `python -S -I step.py` with a marshalled order on standard input. Standard library only, Python 3.7 and up,
and only modules that import at once (`json`, `signal` and `ctypes` would cost as much as starting Python).
It outlives the server that started it; the server reads started.json and exit.json in the launch's folder.
"""

from __future__ import annotations

import marshal
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost 5 ms
    import signal
    from typing import Any

    Order = dict[str, Any]
    Usage = dict[str, float]
    Processes = list[tuple[int, bytes, tuple[int, ...]]]
else:
    try:
        import _signal as signal  # the same functions as `signal`, without its enums: 7 ms sooner
    except ImportError:
        import signal

WATCHED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
SWEEPS = 600  # times 50 ms: how long processes may take to die of SIGKILL before they are given up
POLL_S = 0.02  # while a shell waits for its children to end
SHELLS = (b"sh", b"bash", b"dash", b"zsh", b"ksh")
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, linux/prctl.h


def main() -> None:
    """Read the order, run it, write exit.json; the lock on the inherited descriptor ends with this process."""
    order = marshal.loads(_read_all(0))  # noqa: S302 - from the server that started this process, by a private file
    os.chdir("/")
    _close_all_but(order["lock"], order["listener"])
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    _become_subreaper()
    started = time.time()
    usage = {"cpu_s": 0.0, "memory_bytes": 0.0}
    try:
        child = _start(order)
        _write(order, "started.json", _started(order, child, started))
        ending, status = _watch(order, child, usage)
        left = _sweep(usage)
        result = _result(order, ending, status, left)
        result["usage"] = usage
    except Exception as error:  # whatever it was, the server must be told
        result = {"state": "failed", "exit_code": None, "signal": None, "oom": False}
        result["reason"] = "the supervisor failed: %s: %s" % (type(error).__name__, error)
        _sweep(usage)
    result["ended"] = time.time()
    _remove_cgroups(order)
    _write(order, "exit.json", result)
    _clear_scratch(order)
    os._exit(0)  # no tear-down of the interpreter: the server is waiting for this process's end


def _read_all(descriptor: int) -> bytes:
    pieces: list[bytes] = []
    while True:
        piece = os.read(descriptor, 1 << 20)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)


def _close_all_but(lock: int, listener: int | None) -> None:
    """Keep the lock to this process, and close what leaked in from the server."""
    os.set_inheritable(lock, False)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in (lock, listener):
            try:
                os.close(int(name))
            except OSError:
                pass  # the descriptor of this very listing


def _become_subreaper() -> None:
    """Ask the kernel to hand orphans of the tree to this process, so that daemons can be found and ended."""
    try:
        import _ctypes

        address = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]
        _ctypes.call_function(address, (SUBREAPER, 1, 0, 0, 0))
    except (ImportError, AttributeError, OSError):
        import ctypes

        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


def _start(order: Order) -> int:
    argv = list(order["argv"])
    inherited = None
    if order["wrapper"]:
        inherited = _arguments_file(order)
        argv = [order["wrapper"], "--args", str(inherited), "--", *argv]
    pid = os.fork()
    if pid:
        for descriptor in (inherited, order["listener"]):
            if descriptor is not None:
                os.close(descriptor)  # a dead replica's port must refuse, not keep its callers waiting
        return pid
    try:
        _become_command(order, argv)
    except OSError as error:
        where = error.filename or argv[0]
        os.write(2, ("entrepot: cannot start %s: %s\n" % (where, error.strerror)).encode("utf-8", "replace"))
    finally:
        os._exit(127)


def _arguments_file(order: Order) -> int:
    """Put the wrapper's arguments into an unnamed file: environment values must not be readable with `ps`."""
    path = os.path.join(order["folder"], "arguments")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    os.unlink(path)
    data = b"".join(os.fsencode(argument) + b"\0" for argument in order["wrapper_arguments"])
    while data:
        data = data[os.write(descriptor, data) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.set_inheritable(descriptor, True)
    return descriptor


def _become_command(order: Order, argv: list[str]) -> None:
    os.setpgid(0, 0)
    for folder in order["cgroups"]:
        with open(os.path.join(folder, "cgroup.procs"), "w") as file:
            file.write("0")
    if order["address_space"]:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (order["address_space"],) * 2)
    if order["processors"]:
        os.sched_setaffinity(0, order["processors"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these two; the command expects the default
        signal.signal(number, signal.SIG_DFL)
    if not order["wrapper"]:  # a wrapper makes the folder visible first and changes to it itself
        os.chdir(order["cwd"])
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)
    environment = {} if order["wrapper"] else order["environment"]  # LD_PRELOAD and friends must not reach the wrapper
    os.execvpe(argv[0], argv, environment)  # noqa: S606


def _started(order: Order, child: int, started: float) -> dict[str, Any]:
    with open("/proc/self/stat", "rb") as file:
        ticks = int(file.read().rpartition(b")")[2].split()[19])
    keep = ("id", "sandbox", "port", "notes", "cgroups")
    document = {key: order[key] for key in keep}
    document.update(pid=os.getpid(), ticks=ticks, child=child, started=started)
    return document


def _watch(order: Order, child: int, usage: Usage) -> tuple[str, int]:
    """Wait for the command, its time limit or a cancel; return why it was ended, and its wait status."""
    ending = ""
    due_at = time.monotonic() + order["timeout_s"] if order["timeout_s"] is not None else None
    asked: set[int] = set()
    waiting: set[int] = set()
    while True:
        status = _reap(child, usage)
        if status is not None:
            return ending, status
        wait_s = 3600.0 if due_at is None else min(3600.0, max(0.0, due_at - time.monotonic()))
        arrived = signal.sigtimedwait(WATCHED, min(wait_s, POLL_S) if waiting else wait_s)
        is_due = due_at is not None and time.monotonic() >= due_at
        is_canceled = arrived is not None and arrived.si_signo != signal.SIGCHLD
        if is_due and ending:
            _signal_all(_descendants(), signal.SIGKILL)
            due_at = time.monotonic() + 0.5
        elif is_canceled or is_due:
            if not ending:
                waiting = {process[0] for process in _descendants() if len(process[2]) >= order["wrapper_depth"]}
            grace_s = (_grace(order) if is_canceled else order["grace_s"]) if waiting or asked else 0.0
            kill_at = time.monotonic() + grace_s
            due_at = min(kill_at, due_at) if ending and due_at is not None else kill_at
            ending = ending or ("canceled" if is_canceled else "timeout")
        if waiting:
            _ask_to_end(waiting, asked)


def _ask_to_end(waiting: set[int], asked: set[int]) -> None:
    """Send SIGTERM to what still waits for it; a shell gets it after its children, or they would lose their grace."""
    tree = _descendants()
    alive = waiting | asked
    busy = {ancestor for pid, _, ancestors in tree if pid in alive for ancestor in ancestors}
    for process in tree:
        pid, name, _ = process
        if pid in waiting and not (name in SHELLS and pid in busy):
            _signal_all([process], signal.SIGTERM)
            waiting.discard(pid)
            asked.add(pid)
    waiting.intersection_update(pid for pid, _, _ in tree)


def _grace(order: Order) -> float:
    try:
        with open(os.path.join(order["folder"], "cancel"), "rb") as file:
            return float(file.read().decode("ascii"))
    except (OSError, ValueError):
        return float(order["grace_s"])


def _reap(child: int, usage: Usage) -> int | None:
    """Collect every process that ended; return the status of the command if it is among them."""
    found = None
    while True:
        pid, status = _collect(usage)
        if pid <= 0:
            return found
        if pid == child:
            found = status


def _collect(usage: Usage) -> tuple[int, int]:
    """Collect one ended child, adding what it and its own children used; pid 0: none has ended, -1: none is left."""
    try:
        pid, status, used = os.wait4(-1, os.WNOHANG)
    except ChildProcessError:
        return -1, 0
    if pid:
        usage["cpu_s"] += used.ru_utime + used.ru_stime
        usage["memory_bytes"] = max(usage["memory_bytes"], used.ru_maxrss * 1024)
    return pid, status


def _descendants() -> Processes:
    """Return [(pid, name, ancestors below this process)] of the whole tree, from one reading of /proc."""
    below: dict[int, list[tuple[int, bytes]]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open("/proc/%s/stat" % entry, "rb") as file:
                    name, _, rest = file.read().partition(b"(")[2].rpartition(b")")
            except OSError:
                continue
            fields = rest.split()
            if fields[0] != b"Z":
                below.setdefault(int(fields[1]), []).append((int(entry), name))
    found: Processes = [(pid, name, ()) for pid, name in below.get(os.getpid(), ())]
    for pid, _, ancestors in found:  # grows while it is read: breadth first
        found.extend((child, name, (*ancestors, pid)) for child, name in below.get(pid, ()))
    return found


def _signal_all(processes: Processes, number: int) -> None:
    for process in processes:
        try:
            os.kill(process[0], number)
        except ProcessLookupError:
            pass
        except PermissionError:
            pass


def _sweep(usage: Usage) -> int:
    """End whatever the command left behind; return how many processes would not die."""
    signal.sigtimedwait((signal.SIGCHLD,), 0)  # forget the news of children that are collected already
    for turn in range(SWEEPS):
        while True:
            pid, _ = _collect(usage)
            if pid < 0:
                return 0
            if pid == 0:
                break
        if turn:  # at first, the kernel may be taking a process namespace down by itself
            _signal_all(_descendants(), signal.SIGKILL)
        signal.sigtimedwait((signal.SIGCHLD,), 0.05 if turn else 0.02)
    return len(_descendants())


def _result(order: Order, ending: str, status: int, left: int) -> dict[str, Any]:
    number: int | None
    if os.WIFSIGNALED(status):
        code, number = 128 + os.WTERMSIG(status), os.WTERMSIG(status)
    else:
        code = os.WEXITSTATUS(status)
        number = code - 128 if 128 < code < 128 + 65 else None  # as shells and bwrap pass it on
    oom = code != 0 and _out_of_memory(order)
    state, reason = "failed", ""
    if ending == "canceled":
        state, reason = "canceled", "canceled"
    elif ending == "timeout":
        reason = "killed: over its time limit of %g s" % order["timeout_s"]
    elif oom:
        reason = "killed: over its memory limit of %g MB" % (order["memory_bytes"] / 1048576.0)
    elif code == 0:
        state = "succeeded"
    else:
        reason = _reason(order, code, number)
    if left:
        reason = (reason + "; " if reason else "") + "%d processes would not die" % left
    return {"state": state, "exit_code": code, "signal": number, "reason": reason, "oom": oom}


def _reason(order: Order, code: int, number: int | None) -> str:
    names = {getattr(signal, name): name for name in dir(signal) if name[:3] == "SIG" and name[3:4] not in ("_", "")}
    text = "killed by %s (exit code %d)" % (names[number], code) if number in names else "exit code %d" % code
    if order["address_space"]:
        text += "; its address space was bounded to %g MB" % (order["address_space"] / 1048576.0)
    return text


def _out_of_memory(order: Order) -> bool:
    for path, key in order["oom_counters"]:
        try:
            with open(path) as file:
                lines = [line.split() for line in file]
        except OSError:
            continue
        if any(line[0] == key and int(line[1]) > 0 for line in lines if len(line) == 2):
            return True
    return False


def _remove_cgroups(order: Order) -> None:
    for folder in order["cgroups"]:
        for _ in range(20):
            try:
                os.rmdir(folder)
                break
            except FileNotFoundError:
                break
            except OSError:  # still counted as busy for a moment after the last process ended
                time.sleep(0.005)


def _clear_scratch(order: Order) -> None:
    """Remove the private temporary folder; a process of its own does it when there is much to remove."""
    scratch = order["scratch"]
    try:
        os.rmdir(scratch)
        return
    except OSError:
        pass
    if os.fork() == 0:
        os.close(order["lock"])
        _remove_tree(scratch)
        os._exit(0)


def _remove_tree(folder: str) -> None:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    _remove_tree(entry.path)
                else:
                    os.unlink(entry.path)
        os.rmdir(folder)
    except (OSError, RecursionError):  # the server removes what is left, however deep
        pass


def _write(order: Order, name: str, document: dict[str, Any]) -> None:
    path = os.path.join(order["folder"], name)
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write(_json(document))
    os.rename(path + ".new", path)


def _json(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, dict):
        return "{%s}" % ",".join("%s:%s" % (_json(key), _json(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return "[%s]" % ",".join(_json(item) for item in value)
    units = value.encode("utf-16-be", "surrogatepass")  # JSON escapes are UTF-16 code units
    codes = [units[i] << 8 | units[i + 1] for i in range(0, len(units), 2)]
    return '"%s"' % "".join(chr(c) if 31 < c < 127 and c not in (34, 92) else "\\u%04x" % c for c in codes)


if __name__ == "__main__":
    main()
