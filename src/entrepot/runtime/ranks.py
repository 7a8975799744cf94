"""Starts the processes of a distributed job, joins their output and ends them together.

Run by the environment's own interpreter as `python ranks.py <order>`, a JSON text. Standard library only, Python 3.7
and up. Each process runs the job's command and is told its place by the variables of its convention: PyTorch's
`env://`, Open MPI's, or TensorFlow's TF_CONFIG. The first one that fails ends the others, and its last lines come last.
"""

from __future__ import annotations

import collections
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Deque, Dict, List, Optional

    Order = Dict[str, Any]
    Variables = Dict[str, str]

HOST = "127.0.0.1"
KEPT_LINES = 12
GRACE_S = 5.0
GLANCE_S = 0.05


class Rank:
    """One process: its name in the log, and the last lines that it wrote."""

    def __init__(self, name: str, prefix: bytes, variables: "Variables", is_served: bool = False) -> None:
        self.name = name
        self.prefix = prefix
        self.variables = variables
        self.is_served = is_served  # a parameter server: it ends when nobody needs it any more
        self.last: "Deque[bytes]" = collections.deque(maxlen=KEPT_LINES)
        self.process: "Optional[subprocess.Popen[bytes]]" = None
        self.reader = threading.Thread(target=self._read, daemon=True)

    def start(self, argv: "List[str]") -> None:
        """Start the process, in a group of its own, and read what it writes."""
        self.process = subprocess.Popen(
            argv, env={**os.environ, **self.variables}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self.reader.start()

    def code(self) -> "Optional[int]":
        """Return the exit code as shells tell it, None while the process runs."""
        code = self.process.poll() if self.process is not None else 0
        return 128 - code if code is not None and code < 0 else code

    def send(self, number: int) -> None:
        """Signal the process and what it started."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, number)
            except OSError:
                pass

    def _read(self) -> None:
        assert self.process is not None and self.process.stdout is not None
        for line in self.process.stdout:
            self.last.append(line)
            write(self.prefix + line)


class Ending:
    """Whether the job was asked to end: its processes got the signal, too, and have their time."""

    is_asked = False

    def ask(self, *_: object) -> None:
        """Remember the signal."""
        self.is_asked = True


def main(text: str) -> int:
    """Run what the order says and return the exit code."""
    order = json.loads(text)
    ending = Ending()
    signal.signal(signal.SIGTERM, ending.ask)
    argv = ["bash", "-c", order["command"]]
    mpirun = shutil.which("mpirun") if order["kind"] == "mpi" else None
    if mpirun:
        os.execv(mpirun, [mpirun, *mpi_options(mpirun, order), *argv])  # noqa: S606
    if order["kind"] == "mpi":
        say("mpirun is not in the environment: the ranks are started one by one, and only know their numbers")
    ranks = ranks_of(order)
    for rank in ranks:
        rank.start(argv)
    failed = _watch(ranks, ending)
    if failed is None:
        return 143 if ending.is_asked else 0
    code = failed.code() or 1
    others = " The others were ended." if len(ranks) > 1 else ""
    say("%s of %d failed with exit code %d.%s Its last lines:" % (failed.name, len(ranks), code, others))
    write(b"".join(failed.last))
    return code


def ranks_of(order: "Order") -> "List[Rank]":
    """Return the processes to start, each with the variables that tell it its place."""
    if order["kind"] == "tensorflow":
        return _tensorflow(order)
    instances, per_instance = order["instances"], order["perInstance"]
    world, port = instances * per_instance, os.environ.get("MASTER_PORT") or str(free_ports(1)[0])
    found = []
    for rank in range(world):
        node, local = divmod(rank, per_instance)
        variables = {"AZUREML_CR_NODE_COUNT": str(instances), "NODE_RANK": str(node)}
        variables.update({"MASTER_ADDR": HOST, "MASTER_PORT": port})
        if order["kind"] == "mpi":
            variables.update(_mpi(rank, world, local, per_instance, "%s:%s" % (HOST, port)))
        else:
            variables.update({"RANK": str(rank), "WORLD_SIZE": str(world)})
            variables.update({"LOCAL_RANK": str(local), "LOCAL_WORLD_SIZE": str(per_instance)})
        found.append(Rank("Rank %d" % rank, b"[rank %d] " % rank if rank else b"", variables))
    return found


def _mpi(rank: int, world: int, local: int, per_instance: int, master: str) -> "Variables":
    return {
        "OMPI_COMM_WORLD_RANK": str(rank), "OMPI_COMM_WORLD_SIZE": str(world),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(local), "OMPI_COMM_WORLD_LOCAL_SIZE": str(per_instance),
        "OMPI_UNIVERSE_SIZE": str(world), "AZ_BATCH_MASTER_NODE": master, "AZ_BATCHAI_MPI_MASTER_NODE": HOST,
    }  # fmt: skip


def mpi_options(mpirun: str, order: "Order") -> "List[str]":
    """Return mpirun's options: Open MPI refuses root and more ranks than cores unless told otherwise."""
    count = ["-np", str(order["instances"] * order["perInstance"])]
    told = subprocess.run([mpirun, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).stdout
    if b"Open MPI" in told or b"OpenRTE" in told or b"PRRTE" in told:
        return ["--allow-run-as-root", "--oversubscribe", "--bind-to", "none", *count]
    return count


def _tensorflow(order: "Order") -> "List[Rank]":
    counts = (("worker", order["workers"]), ("ps", order["parameterServers"]))
    ports = iter(free_ports(sum(count for _, count in counts)))
    cluster = {kind: ["%s:%d" % (HOST, next(ports)) for _ in range(count)] for kind, count in counts if count}
    found = []
    for kind, places in cluster.items():
        for index in range(len(places)):
            told = {"cluster": cluster, "task": {"type": kind, "index": index}, "environment": "cloud"}
            prefix = b"" if kind == "worker" and index == 0 else b"[%s %d] " % (kind.encode(), index)
            variables = {"TF_CONFIG": json.dumps(told), "AZUREML_CR_NODE_COUNT": str(order["instances"])}
            found.append(Rank("%s %d" % (kind.capitalize(), index), prefix, variables, is_served=kind == "ps"))
    return found


def free_ports(count: int) -> "List[int]":
    """Return ports of loopback that were free a moment ago, no two the same."""
    listeners = [socket.socket() for _ in range(count)]
    try:
        for listener in listeners:
            listener.bind((HOST, 0))
        return [listener.getsockname()[1] for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()


def _watch(ranks: "List[Rank]", ending: Ending) -> "Optional[Rank]":
    """Wait for all processes; return the first one that failed, after ending the others."""
    while True:
        codes = [(rank, rank.code()) for rank in ranks]
        failed = next((rank for rank, code in codes if code), None)
        is_done = all(code is not None or rank.is_served for rank, code in codes)
        if (failed is not None and not ending.is_asked) or is_done:
            _end([rank for rank, code in codes if code is None])
            for rank in ranks:
                rank.reader.join(GRACE_S)
            return None if ending.is_asked else failed
        time.sleep(GLANCE_S)


def _end(ranks: "List[Rank]") -> None:
    for rank in ranks:
        rank.send(signal.SIGTERM)
    end = time.monotonic() + GRACE_S
    while any(rank.code() is None for rank in ranks) and time.monotonic() < end:
        time.sleep(GLANCE_S)
    for rank in ranks:
        rank.send(signal.SIGKILL)


_writing = threading.Lock()


def say(text: str) -> None:
    """Write a line of our own to the log."""
    write(("entrepot: %s\n" % text).encode())


def write(data: bytes) -> None:
    """Write whole lines, those of one process at a time."""
    with _writing:
        while data:
            data = data[os.write(1, data) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
