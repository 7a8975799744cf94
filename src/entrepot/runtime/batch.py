"""The driver of parallel steps: splits the input's files into mini-batches and has processes run the user's script.

Run by the environment's own interpreter as `python batch.py [program arguments]`; `ENTREPOT_BATCH_ORDER` names its
order, a JSON file. Each worker, this same file in a process of its own, calls `init()` once and then `run(mini_batch)`
again and again. Standard library only, Python 3.7 and up. A worker's prints go to the log; its answers come through a
pipe of their own, one JSON line each.
"""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
import threading
import time
import traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any, Callable, Dict, List, Optional, Tuple

    Json = Any
    Order = Dict[str, Json]

ORDER = "ENTREPOT_BATCH_ORDER"
WORKER = "ENTREPOT_BATCH_WORKER"  # "<descriptor to read from>,<descriptor to write to>" in a worker
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "warn": logging.WARNING,
          "error": logging.ERROR, "critical": logging.CRITICAL}  # fmt: skip
FORMAT = "%(asctime)s %(levelname)s %(message)s"
SHOWN_FILES = 3

log = logging.getLogger("batch")


class Lost(Exception):
    """A worker died, or took longer than a mini-batch may."""


class Worker:
    """One process that runs the user's script, from the side of the driver."""

    def __init__(self, order: "Order") -> None:
        self.order = order
        self.process: "Optional[subprocess.Popen[bytes]]" = None
        self.requests = self.answers = -1
        self.rest = b""

    def start(self) -> None:
        """Start the process and wait until `init()` has run. Raises RuntimeError when it fails."""
        theirs, self.requests = os.pipe()
        self.answers, back = os.pipe()
        self.rest = b""
        environment = dict(os.environ)
        environment[WORKER] = "%d,%d" % (theirs, back)
        command = [sys.executable, "-u", os.path.abspath(__file__), *sys.argv[1:]]
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, pass_fds=(theirs, back))
        os.close(theirs)
        os.close(back)
        try:
            answer = self._read(None)
        except Lost as error:
            raise RuntimeError("init() did not end: %s" % error) from error
        if not answer["ok"]:
            raise RuntimeError("init() failed:\n%s" % answer["error"].rstrip())

    def run(self, files: "List[str]", timeout_s: float) -> "Dict[str, Json]":
        """Have a mini-batch run and return the answer. Raises Lost; the process is then gone."""
        if self.process is None:
            self.start()
        try:
            _write_all(self.requests, json.dumps(files).encode() + b"\n")
            return self._read(time.monotonic() + timeout_s)
        except OSError as error:
            self.stop()
            raise Lost("the worker cannot be reached: %s" % error) from error
        except Lost:
            self.stop()
            raise

    def finish(self) -> None:
        """Let the process end by itself, after the script's `shutdown()` if it has one."""
        if self.process is None:
            return
        os.close(self.requests)
        self.requests = -1
        try:
            self._read(time.monotonic() + self.order["timeout_s"])
        except Lost:
            pass
        self.stop()

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            for descriptor in (self.requests, self.answers):
                if descriptor >= 0:
                    os.close(descriptor)

    def _read(self, until: "Optional[float]") -> "Dict[str, Json]":
        while b"\n" not in self.rest:
            left = None if until is None else until - time.monotonic()
            if left is not None and (left <= 0 or not select.select([self.answers], [], [], left)[0]):
                raise Lost("it took longer than its timeout of %g s" % self.order["timeout_s"])
            piece = os.read(self.answers, 1 << 20)
            if not piece:
                raise Lost("the worker process ended with exit code %s" % self._exit_code())
            self.rest += piece
        line, _, self.rest = self.rest.partition(b"\n")
        found = json.loads(line.decode())
        return dict(found)

    def _exit_code(self) -> "Optional[int]":
        try:
            return self.process.wait(5) if self.process is not None else None
        except subprocess.TimeoutExpired:
            return None


class Run:
    """A whole run: what is still to do, what came of what is done, and whether there is reason to stop."""

    def __init__(self, order: "Order", batches: "List[List[str]]", sink: "Optional[IO[str]]") -> None:
        self.order = order
        self.batches = batches
        self.sink = sink
        self.lock = threading.Lock()
        self.next = self.written = 0
        self.rows = {}  # type: Dict[int, List[str]]
        self.failed_files = self.failed_batches = self.row_count = 0
        self.error = ""  # the last one of a mini-batch
        self.fatal = ""

    def take(self) -> "Optional[int]":
        """Return the number of the next mini-batch, or None."""
        with self.lock:
            if self.fatal or self.next >= len(self.batches):
                return None
            self.next += 1
            return self.next - 1

    def succeeded(self, number: int, rows: "List[str]", count: int) -> None:
        """Keep what a mini-batch returned; files for which nothing was returned have failed."""
        with self.lock:
            missing = max(0, len(self.batches[number]) - count)
            if missing:
                self.error = "run() returned %d results for %d files" % (count, len(self.batches[number]))
                log.warning("mini-batch %d: %s", number, self.error)
            self._count(missing, 0)
            self._write(number, rows)

    def failed(self, number: int, error: str) -> None:
        """Count a mini-batch as failed."""
        with self.lock:
            self.error = error
            self._count(len(self.batches[number]), 1)
            self._write(number, [])

    def abort(self, reason: str) -> None:
        """Start no more mini-batches."""
        with self.lock:
            self.fatal = self.fatal or reason

    def _count(self, files: int, batches: int) -> None:
        self.failed_files += files
        self.failed_batches += batches
        for name, count, what in (
            ("error_threshold", self.failed_files, "files"),
            ("mini_batch_error_threshold", self.failed_batches, "mini-batches"),
        ):
            allowed = self.order[name]
            if 0 <= allowed < count and not self.fatal:
                self.fatal = "%d %s failed, and %s is %d. The last error:\n%s" % (
                    count, what, name, allowed, self.error,
                )  # fmt: skip

    def _write(self, number: int, rows: "List[str]") -> None:
        """Write rows in the order of the mini-batches, whichever ends first."""
        self.rows[number] = rows
        while self.written in self.rows:
            for row in self.rows.pop(self.written):
                self.row_count += 1
                if self.sink is not None:
                    self.sink.write(row + "\n")
            self.written += 1


def main() -> int:
    """Do what the order says; return the exit code."""
    with open(os.environ[ORDER], encoding="utf-8") as file:
        order = json.load(file)
    logging.basicConfig(stream=sys.stdout, level=LEVELS.get(order["logging_level"], logging.INFO), format=FORMAT)
    if WORKER in os.environ:
        return serve(order, os.environ.pop(WORKER))
    files = [path for given in order["inputs"] for path in files_of(given)]
    if not files:
        log.error("There are no files in the input")
        return 1
    size = order["mini_batch_size"]
    batches = [files[start : start + size] for start in range(0, len(files), size)]
    workers = min(order["workers"], len(batches))
    log.info("%d files in %d mini-batches for %d workers", len(files), len(batches), workers)
    sink = _sink(order)
    run = Run(order, batches, sink)
    threads = [threading.Thread(target=_guarded, args=(run,)) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if sink is not None:
        sink.close()
    return _told(run, len(files))


def files_of(given: str) -> "List[str]":
    """Return the files of an input, in the order of their paths."""
    if not os.path.isdir(given):
        return [given]
    found = []
    for folder, folders, names in os.walk(given):
        folders.sort()
        found += [os.path.join(folder, name) for name in names]
    return sorted(found)


def _sink(order: "Order") -> "Optional[IO[str]]":
    if not order["append_to"]:
        return None
    os.makedirs(os.path.dirname(order["append_to"]), exist_ok=True)
    return open(order["append_to"], "w", encoding="utf-8")


def _guarded(run: Run) -> None:
    worker = Worker(run.order)
    try:
        _work(run, worker)
    except RuntimeError as error:
        run.abort(str(error))
    except Exception:
        run.abort("the driver failed:\n%s" % traceback.format_exc())
    finally:
        worker.stop()


def _work(run: Run, worker: Worker) -> None:
    worker.start()
    while True:
        number = run.take()
        if number is None:
            worker.finish()
            return
        _process(run, worker, number)


def _process(run: Run, worker: Worker, number: int) -> None:
    """Run one mini-batch, again as often as it may be."""
    files, order = run.batches[number], run.order
    for attempt in range(order["max_retries"] + 1):
        if run.fatal:
            return
        started = time.monotonic()
        try:
            answer = worker.run(files, order["timeout_s"])
            error = "" if answer["ok"] else answer["error"].rstrip()
        except Lost as lost:
            answer, error = {}, str(lost)
        if not error:
            log.info("mini-batch %d: %d files in %.2f s", number, len(files), time.monotonic() - started)
            run.succeeded(number, answer["rows"], answer["count"])
            return
        log.warning("mini-batch %d (%s), attempt %d: %s", number, _named(files), attempt + 1, error)
    run.failed(number, error)


def _named(files: "List[str]") -> str:
    names = ", ".join(os.path.basename(file) for file in files[:SHOWN_FILES])
    return names + (" and %d more" % (len(files) - SHOWN_FILES) if len(files) > SHOWN_FILES else "")


def _told(run: Run, files: int) -> int:
    log.info(
        "%d of %d mini-batches done, %d failed; %d of %d files failed; %d results",
        run.written, len(run.batches), run.failed_batches, run.failed_files, files, run.row_count,
    )  # fmt: skip
    if run.fatal:
        log.error("%s", run.fatal)
    return 1 if run.fatal else 0


# ---- in a worker


def serve(order: "Order", descriptors: str) -> int:
    """Call `init()`, then `run()` for each mini-batch that is asked for, until the driver ends."""
    reading, writing = (int(number) for number in descriptors.split(","))
    for descriptor in (reading, writing):
        os.set_inheritable(descriptor, False)
    with os.fdopen(reading, "rb") as requests:
        ok, script = _called(lambda: _loaded(order["entry"]))
        _answer(writing, {"ok": ok} if ok else {"ok": False, "error": script})
        for line in requests if ok else ():
            _answer(writing, _result(script.run, json.loads(line.decode())))
    if ok and hasattr(script, "shutdown"):
        ended, error = _called(script.shutdown)
        if not ended:
            log.warning("shutdown() failed:\n%s", error)
    return 0


def _loaded(entry: str) -> "Json":
    """Import the user's script, call its `init()` and return its module."""
    import importlib.util

    folder, name = os.path.split(entry)
    if not os.path.isfile(entry):
        raise FileNotFoundError("the scoring script %s is not in the code; it has %s" % (name, sorted(_names(folder))))
    sys.path.insert(0, folder)
    module_name = os.path.splitext(name)[0]
    spec = importlib.util.spec_from_file_location(module_name, entry)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    if not callable(getattr(module, "run", None)):
        raise AttributeError("%s has no function run(mini_batch)" % name)
    init = getattr(module, "init", None)
    if init is not None:
        init()
    return module


def _names(folder: str) -> "List[str]":
    return os.listdir(folder) if os.path.isdir(folder) else []


def _result(run: "Callable[[List[str]], Json]", files: "List[str]") -> "Dict[str, Json]":
    ok, rows = _called(lambda: rows_of(run(files)))
    return {"ok": True, "rows": rows[0], "count": rows[1]} if ok else {"ok": False, "error": rows}


def rows_of(result: "Json") -> "Tuple[List[str], int]":
    """Return (lines, number of results) of what `run` returned: a list, an array, a data frame or a series."""
    if hasattr(result, "to_csv"):
        text = result.to_csv(index=False, header=False)
        return text.rstrip("\n").split("\n") if text else [], len(result)
    if result is None or isinstance(result, (str, bytes, dict)) or not hasattr(result, "__iter__"):
        raise TypeError("run() must return a list, an array or a pandas DataFrame, not %s" % type(result).__name__)
    found = [str(item) for item in result]
    return found, len(found)


def _called(function: "Callable[[], Json]") -> "Tuple[bool, Json]":
    """Return (True, what the function returns), or (False, the traceback without our own frames)."""
    try:
        return True, function()
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = os.path.abspath(__file__)
        theirs = [frame for frame in frames if os.path.abspath(frame.filename) != own and "importlib" not in frame[0]]
        told = traceback.format_list(theirs) + traceback.format_exception_only(type(error), error)
        return False, "".join(told)


def _answer(descriptor: int, value: "Dict[str, Json]") -> None:
    _write_all(descriptor, json.dumps(value).encode() + b"\n")


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


if __name__ == "__main__":
    sys.exit(main())
