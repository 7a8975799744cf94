"""What a package that is built from source can do to the server, and to what others run."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from entrepot.compute.backend import EnvironmentSpec, Launch, Prepared, State
from entrepot.compute.conda import checked_requirement
from entrepot.compute.environments import Environments
from entrepot.compute.local import LocalBackend
from entrepot.compute.sandbox import find_bwrap
from entrepot.core.errors import BuildFailed
from tests.compute.packages import make_sdist, make_wheel
from tests.compute.test_environments import ask, environ, pip, quiet, wheels

__all__ = ["environ", "wheels"]

needs_bwrap = pytest.mark.skipif(find_bwrap()[0] is None, reason="bwrap does not work here")
_BACKEND = """
import os, zipfile

ROOT, SECRET = {root!r}, {secret!r}


def attack():
    done = []
    for folder, folders, files in os.walk(ROOT):
        parts = os.path.relpath(folder, ROOT).split(os.sep)
        if parts[0] in ("uv-cache", "locking"):
            continue
        if len(parts) > 1 and parts[0] == "envs" and not os.path.exists(os.path.join(ROOT, "envs", parts[1], ".ok")):
            continue  # its own, which would only spoil its build
        for name in files:
            place = os.path.join(folder, name)
            if parts[-1] in ("bin", "specs", "locks", "layers") or folder == ROOT:
                try:
                    os.unlink(place)
                    os.symlink(SECRET, place)
                    done.append(place)
                except OSError:
                    pass
    for name in ("specs", "locks", "etc", "layers", "interpreters.json"):
        try:
            os.rename(os.path.join(ROOT, name), os.path.join(ROOT, name + ".old"))
            os.symlink(os.path.dirname(SECRET), os.path.join(ROOT, name))
            done.append(name)
        except OSError:
            pass
    for name in os.listdir(os.path.join(ROOT, "etc")):
        try:
            os.rename(os.path.join(ROOT, "etc", name), os.path.join(ROOT, name))
            done.append("etc/" + name)
        except OSError:
            pass
    return done


def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "nosy-1.0-py3-none-any.whl"
    info = "nosy-1.0.dist-info"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        archive.writestr("nosy.py", "DONE = %r" % (attack(),))
        archive.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: nosy\\nVersion: 1.0\\n")
        archive.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(info + "/RECORD", "")
    return name
"""


@needs_bwrap
def test_a_build_changes_neither_other_environments_nor_the_books_nor_what_builds_see(
    environ: Mapping[str, str], wheels: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "home" / "token"
    secret.parent.mkdir()
    secret.write_text("hunter2")
    root = tmp_path / "root"
    sandboxed = Environments(root, environ=environ, bwrap=lambda: find_bwrap()[0])
    before = sandboxed.prepare(pip("alpha==1.0"), log=quiet)
    make_sdist(wheels, "nosy", "1.0", backend=_BACKEND.format(root=str(root), secret=str(secret)))
    built = sandboxed.prepare(pip("nosy"), log=quiet)
    assert ask(built, "import nosy; print(nosy.DONE)") == "[]"
    assert ask(sandboxed.prepare(pip("alpha==1.0"), log=quiet), "import alpha; print(alpha.VERSION)") == "1.0"
    assert before.python.resolve() == before.base


@needs_bwrap
@pytest.mark.parametrize("how", ["interpreter", "folder"])
def test_an_environment_that_was_tampered_with_opens_nothing_to_its_jobs(
    environ: Mapping[str, str], wheels: Path, tmp_path: Path, how: str
) -> None:
    home = tmp_path / "home"
    (home / "run").mkdir(parents=True)
    (home / "run" / "token").write_text("hunter2")
    sandboxed = Environments(tmp_path / "root", environ=environ, bwrap=lambda: find_bwrap()[0])
    prepared = sandboxed.prepare(pip("alpha==1.0"), log=quiet)
    folder = tmp_path / "root" / "envs" / prepared.id
    if how == "interpreter":  # as one that was built from source could do to itself
        (folder / "bin" / "python").unlink()
        (folder / "bin" / "python").symlink_to(home / "run" / "token")
    else:
        folder.rename(tmp_path / "root" / "moved")
        (home / ".ok").touch()
        (home / "bin").mkdir()
        (home / "bin" / "python").touch()
        folder.symlink_to(home)
    again = sandboxed.prepare(pip("alpha==1.0"), log=quiet)
    assert _printed(tmp_path, again, f"cat {home}/run/token {folder}/run/token; find / -name token 2>/dev/null") == ""


def _printed(tmp_path: Path, prepared: Prepared, command: str) -> str:
    """Return what a job's command says on its standard output in an environment."""
    backend = LocalBackend(tmp_path / "backend", sandbox="bwrap")
    work = tmp_path / "work"
    work.mkdir()
    place = tmp_path / "launch"
    shell = ("sh", "-c", f"({command}) 2>/dev/null")
    backend.launch(Launch("tampered", shell, place / "state", place / "log.txt", work, {}, prepared=prepared))
    status = backend.wait("tampered", place / "state", timeout_s=60)
    assert status.state in (State.SUCCEEDED, State.FAILED), status
    return (place / "log.txt").read_text()


@pytest.mark.parametrize(
    "line",
    ["alpha\n-r /etc/passwd", "alpha\r-e /srv", "alpha\x0b-r x", "alpha @ file:///etc", "alpha@file:///etc",
     "alpha @ /etc", "alpha @ ../x", "-r /etc/passwd", "--requirement=/etc/passwd", "-c /etc/passwd",
     "-e /srv", "/srv/x", "file:///srv", "../x", ".", "--constraint x"],
)  # fmt: skip
def test_a_requirement_reads_no_file_of_the_server(line: str) -> None:
    with pytest.raises(BuildFailed):
        checked_requirement(line, where="here")


@pytest.mark.parametrize("line", ["alpha==1.0", "alpha[extra]>=1", "alpha @ https://host/alpha-1.0-py3-none-any.whl"])
def test_ordinary_requirements_stand(line: str) -> None:
    assert checked_requirement(line, where="here") == line


def test_a_build_contexts_files_stay_in_it(environ: Mapping[str, str], wheels: Path, tmp_path: Path) -> None:
    make_wheel(wheels, "secret", "1.0")
    (tmp_path / "outside.txt").write_text("secret==1.0\n")
    context = tmp_path / "context"
    context.mkdir()
    (context / "link.txt").symlink_to(tmp_path / "outside.txt")
    os.mkfifo(context / "pipe.txt")
    environments = Environments(tmp_path / "root", environ=environ)
    for source in (
        "../outside.txt",
        "link.txt",
        "/../outside.txt",
        str(tmp_path / "outside.txt"),
        "pipe.txt",
        "a\0b.txt",
    ):
        lines = f"FROM python:3\nCOPY {source} r.txt\nRUN pip install -r r.txt\n"
        (context / "Dockerfile").write_text(lines)
        with pytest.raises(BuildFailed):
            environments.prepare(EnvironmentSpec(context=context), log=quiet)
    for dockerfile in ("../outside.txt", "link.txt", "pipe.txt", "a\0b"):
        with pytest.raises(BuildFailed):
            environments.prepare(EnvironmentSpec(context=context, dockerfile=dockerfile), log=quiet)
