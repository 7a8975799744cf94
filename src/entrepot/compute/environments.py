"""Environments as uv virtual environments: planned, locked, named by content, built once, shared by all launches.

`<root>/specs/<digest>.json` says which environment a specification became; `<root>/envs/<digest>` is an environment,
complete when it has `.ok`; uv's cache is beside them, so that files are hard links. A flock per name serialises
threads and processes. What cannot be had exactly fails with BuildFailed, or is told in `substitutions`.
"""

import fcntl
import json
import os
import platform
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from entrepot.compute.backend import EnvironmentSpec, Prepared
from entrepot.compute.interpreters import Interpreter, Interpreters
from entrepot.compute.plans import Plan, plan
from entrepot.compute.uv import CACHE, Uv
from entrepot.core.digests import Digest, digest_json, is_digest
from entrepot.core.errors import BuildFailed, InvalidRequest

_LAYOUT = 1  # part of every name: raise it when environments are built otherwise
_TRIES = 4  # interpreters to try when the specification leaves Python open
_Log = Callable[[str], None]


class Environments:
    """Builds and finds environments below `root`. `policy` on the Python version: `exact` or `nearest`."""

    def __init__(
        self, root: Path, *, policy: str = "exact", bwrap: Callable[[], Path | None] = lambda: None,
        environ: Mapping[str, str] | None = None, interpreters: Interpreters | None = None,
    ) -> None:  # fmt: skip
        if policy not in ("exact", "nearest"):
            raise InvalidRequest(f"environment_python is {policy!r}: exact and nearest are known")
        self.root = root
        _own(root)
        self._policy = policy
        self._bwrap = bwrap
        self._environ = os.environ if environ is None else environ
        self._interpreters = interpreters or Interpreters(root / "interpreters.json")
        self._platform = "-".join((sys.platform, platform.machine(), *platform.libc_ver()))
        for name in ("envs", "specs", "locks", "locking", CACHE):
            (root / name).mkdir(parents=True, exist_ok=True)

    def prepare(self, spec: EnvironmentSpec, *, log: _Log) -> Prepared:
        """Return the specification's environment, building it if it is not there yet; one build at a time per name."""
        wanted = plan(spec, self._interpreters.discover(), policy=self._policy)
        name = self._name_of(wanted)
        if (found := self._find(name, wanted)) is not None:
            return found
        with self.locked(name, log=log):
            return self._find(name, wanted) or self._build(name, wanted, log=log)

    def reap(self) -> list[str]:
        """Remove half-built environments that no one is building; return their names."""
        reaped = []
        for folder in (self.root / "envs").iterdir():
            if (folder / ".ok").exists():
                continue
            with suppress(BlockingIOError), self.locked(folder.name, log=lambda _: None, is_blocking=False):
                if not (folder / ".ok").exists():
                    shutil.rmtree(folder, ignore_errors=True)
                    reaped.append(folder.name)
        return reaped

    def _name_of(self, wanted: Plan) -> Digest:
        """Return the content address of a plan: what is asked for and every interpreter that might serve it."""
        interpreters = [[one.title, str(one.path)] for one in wanted.interpreters]
        return digest_json([_LAYOUT, sorted(wanted.requirements), interpreters, self._platform])

    def _find(self, name: Digest, wanted: Plan) -> Prepared | None:
        try:
            record = json.loads((self.root / "specs" / f"{name}.json").read_bytes())
        except FileNotFoundError:
            return None
        folder = self.root / "envs" / record["environment"]
        interpreter = next((one for one in wanted.interpreters if str(one.path) == record["interpreter"]), None)
        if interpreter is None or not is_digest(record["environment"]) or not _is_whole(folder):
            return None
        return _prepared(folder, interpreter, wanted, packages=record["packages"], is_cached=True)

    def _build(self, name: Digest, wanted: Plan, *, log: _Log) -> Prepared:
        for note in wanted.substitutions(wanted.interpreters[0]) if len(wanted.interpreters) == 1 else ():
            log(f"substitution: {note}")
        uv = self.uv()
        interpreter, lock = self._resolve(uv, name, wanted, log=log)
        environment = digest_json([_LAYOUT, lock, interpreter.title, str(interpreter.path), self._platform])
        with self.locked(environment, log=log):
            self._install(uv, environment, interpreter, lock, log=log)
        packages = sum(1 for line in lock.splitlines() if line[:1].isalnum())
        record = {"environment": environment, "interpreter": str(interpreter.path), "packages": packages}
        _replace(self.root / "specs" / f"{name}.json", json.dumps(record | {"requirements": wanted.requirements}))
        return _prepared(self.root / "envs" / environment, interpreter, wanted, packages=packages, is_cached=False)

    def _resolve(self, uv: Uv, name: Digest, wanted: Plan, *, log: _Log) -> tuple[Interpreter, str]:
        """Lock the requirements: with wheels only on each interpreter that will do, newest first, else with builds."""
        if not wanted.requirements:
            return wanted.interpreters[0], ""
        source = self.root / "specs" / f"{name}.in"
        _replace(source, "\n".join(wanted.requirements) + "\n")
        with TemporaryDirectory(dir=self.root / "locking", ignore_cleanup_errors=True) as place:
            found = self._locked_by_uv(uv, source, Path(place) / "lock", wanted, log=log)
        _replace(source.with_suffix(".lock"), found[1])
        return found

    def _locked_by_uv(self, uv: Uv, source: Path, target: Path, wanted: Plan, *, log: _Log) -> tuple[Interpreter, str]:
        options = ["--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
        if any(line.startswith("-") for line in wanted.requirements):  # the lock must find its packages there again
            options += ["--emit-index-url", "--emit-find-links"]
        wheels_only = ["--only-binary", ":all:"]
        tries = [(one, wheels_only) for one in wanted.interpreters[:_TRIES]] + [(wanted.interpreters[0], list[str]())]
        failure: BuildFailed | None = None
        for interpreter, extra in tries:
            how = "wheels only" if extra else "building from source where needed"
            log(f"resolving for {interpreter.title}, {how}")
            target.unlink(missing_ok=True)
            said: list[str] = []
            try:
                uv.run("pip", "compile", str(source), "--output-file", str(target), "--python", str(interpreter.path),
                       *options, *extra, readable=_folders(interpreter), writes=target.parent,
                       log=said.append if extra else log)  # fmt: skip
            except BuildFailed as error:
                failure = failure or _told(error, interpreter)  # the first: what wheels alone could not give
                if "not found in the package registry" in error.message:  # no interpreter helps
                    _repeat(said, log)
                    break
                if extra:  # a further try follows, so that this is no error yet
                    log(f"note: {how} did not do: {error.message}")
                continue
            _repeat(said, log)
            return interpreter, _read_plain(target)
        assert failure is not None
        raise failure

    def _install(self, uv: Uv, environment: str, interpreter: Interpreter, lock: str, *, log: _Log) -> None:
        folder = self.root / "envs" / environment
        if _is_whole(folder):
            log("another specification has the same lock: its environment is shared")
            return
        if folder.is_symlink():
            folder.unlink()
        shutil.rmtree(folder, ignore_errors=True)
        readable = _folders(interpreter)
        try:
            uv.run("venv", "--quiet", "--no-project", "--python", str(interpreter.path), str(folder),
                   readable=readable, writes=folder, log=log)  # fmt: skip
            if lock:
                (folder / "requirements.lock").write_text(lock)
                uv.run("pip", "sync", "--python", str(folder / "bin" / "python"), "--compile-bytecode",
                       "--require-hashes", str(folder / "requirements.lock"), readable=readable, writes=folder,
                       log=log)  # fmt: skip
        except BuildFailed as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise _told(error, interpreter) from error
        if folder.is_symlink():
            raise BuildFailed("One of its packages put a link in the place of the environment")
        os.close(os.open(folder / ".ok", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644))

    def uv(self) -> Uv:
        """Return uv as this machine may run it."""
        return Uv(self.root, self._bwrap(), self._environ)

    @contextmanager
    def locked(self, name: str, *, log: _Log, is_blocking: bool = True) -> Iterator[None]:
        """Hold the lock of one name against all threads and processes; raises BlockingIOError if not to wait."""
        descriptor = os.open(self.root / "locks" / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not is_blocking:
                    raise
                log("the same environment is being built already: waiting for it")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _own(root: Path) -> None:
    """Make the folder if it is not there; raise InvalidRequest if others could put programs of theirs into it."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = root.stat()
    if status.st_uid != os.geteuid() or status.st_mode & stat.S_IWOTH:
        raise InvalidRequest(
            f"The folder of environments {root} belongs to or may be written by others, whose programs jobs would run: "
            "set environments_folder to a folder of your own"
        )


def _prepared(folder: Path, interpreter: Interpreter, wanted: Plan, *, packages: int, is_cached: bool) -> Prepared:
    return Prepared(
        id=folder.name, python=folder / "bin" / "python", bin_path=folder / "bin",
        substitutions=wanted.substitutions(interpreter), is_cached=is_cached,
        description=f"{interpreter.title}, {packages} packages" if packages else f"{interpreter.title}, no packages",
        base=interpreter.path,
    )  # fmt: skip


def _is_whole(folder: Path) -> bool:
    """Say whether an environment is complete, and the folder itself rather than a link to another one."""
    return (folder / ".ok").exists() and (folder / "bin" / "python").exists() and not folder.is_symlink()


def _read_plain(file: Path) -> str:
    """Read a file that packages might have replaced by a link. Raises BuildFailed."""
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)) as reading:
            if not stat.S_ISREG(os.fstat(reading.fileno()).st_mode):
                raise BuildFailed("One of its packages left no lock file")
            return reading.read()
    except OSError as error:
        raise BuildFailed(f"One of its packages left no lock file: {error.strerror}") from error


def _folders(interpreter: Interpreter) -> Sequence[Path]:
    return [interpreter.path.parent.parent]


def _repeat(lines: Sequence[str], log: _Log) -> None:
    for line in lines:
        log(line)


def _told(error: BuildFailed, interpreter: Interpreter) -> BuildFailed:
    return BuildFailed(f"The environment can't be built on {interpreter.title}: {error.message}", hint=error.hint)


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.write_text(text)
    new.replace(path)
