"""Environments: built once, named by content, shared, and failing by name; from wheels made on the spot."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import pytest
import yaml

from entrepot.compute.backend import EnvironmentSpec, Prepared
from entrepot.compute.environments import Environments
from entrepot.compute.interpreters import Interpreter, Interpreters
from entrepot.compute.local import LocalBackend
from entrepot.compute.plans import plan
from entrepot.compute.sandbox import find_bwrap
from entrepot.compute.uv import uv_environment
from entrepot.core.errors import BuildFailed, InvalidRequest
from tests.compute.packages import make_sdist, make_wheel

needs_bwrap = pytest.mark.skipif(find_bwrap()[0] is None, reason=f"no sandbox here: {find_bwrap()[1]}")
MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"

_IN_ANOTHER_PROCESS = """
import os, sys
from pathlib import Path
from entrepot.compute.backend import EnvironmentSpec
from entrepot.compute.environments import Environments

made = Environments(Path(sys.argv[1]), environ=dict(os.environ))
prepared = made.prepare(EnvironmentSpec(conda={"dependencies": [{"pip": ["alpha"]}]}), log=lambda line: None)
print(prepared.id, prepared.is_cached)
"""

_NOSY_BACKEND = """
import base64, os, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    try:
        found = open({secret!r}).read()
    except OSError as error:
        found = type(error).__name__
    name = "nosy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        archive.writestr("nosy.py", "FOUND = %r" % found)
        archive.writestr("nosy-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: nosy\\nVersion: 1.0\\n")
        wheel = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        archive.writestr("nosy-1.0.dist-info/WHEEL", wheel)
        archive.writestr("nosy-1.0.dist-info/RECORD", "")
    return name
"""


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    make_wheel(folder, "alpha", "1.0")
    make_wheel(folder, "alpha", "1.1")
    make_wheel(folder, "beta", "2.0", requires="alpha<1.1")
    return folder


@pytest.fixture
def environ(wheels: Path, tmp_path: Path) -> Mapping[str, str]:
    """No index at all, only the wheels; and offline, should anything else be asked."""
    config = tmp_path / "uv.toml"
    config.write_text("no-index = true\n")
    return {
        "UV_CONFIG_FILE": str(config), "UV_FIND_LINKS": str(wheels), "UV_OFFLINE": "1",
        "HOME": str(tmp_path / "nobody"), "PATH": os.defpath,
    }  # fmt: skip


@pytest.fixture
def environments(environ: Mapping[str, str], tmp_path: Path) -> Environments:
    return Environments(tmp_path / "root", environ=environ)


def pip(*lines: str) -> EnvironmentSpec:
    return EnvironmentSpec(conda={"dependencies": [f"python={MINOR}", {"pip": list(lines)}]})


def ask(prepared: Prepared, code: str) -> str:
    done = subprocess.run(
        [prepared.python, "-c", code], check=True, capture_output=True, text=True, env={"HOME": "/nonexistent"}
    )
    return done.stdout.strip()


def quiet(line: str) -> None:
    """Drop a line of the log."""


def test_packages_are_installed_compiled_and_hard_linked(environments: Environments) -> None:
    prepared = environments.prepare(pip("beta"), log=quiet)
    assert not prepared.is_cached
    assert prepared.description.endswith("2 packages")
    assert ask(prepared, "import alpha, beta; print(alpha.VERSION, beta.VERSION)") == "1.0 2.0"
    module = next(prepared.bin_path.parent.glob("lib/python*/site-packages/beta.py"))
    assert module.stat().st_nlink > 1
    assert list(module.parent.glob("__pycache__/beta.*.pyc"))


def test_the_second_time_it_is_found_also_by_another_server(
    environments: Environments, environ: Mapping[str, str], tmp_path: Path
) -> None:
    first = environments.prepare(pip("alpha"), log=quiet)
    second = environments.prepare(pip("alpha"), log=lambda line: pytest.fail(f"built again: {line}"))
    third = Environments(tmp_path / "root", environ=environ).prepare(pip("alpha"), log=quiet)
    assert (second.is_cached, third.is_cached) == (True, True)
    assert first.id == second.id == third.id


def test_homes_that_share_a_folder_build_once(
    environ: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, spec = tmp_path / "shared", pip("alpha")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    first = LocalBackend(tmp_path / "one", environments=shared).prepare(spec, log=quiet)
    second = LocalBackend(tmp_path / "two", environments=shared).prepare(spec, log=quiet)
    assert first.python == second.python and first.python.is_relative_to(shared)
    assert (first.is_cached, second.is_cached) == (False, True)


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(InvalidRequest, match=r"may be written by others.*set environments_folder"):
        LocalBackend(tmp_path / "home", environments=open_to_all)


def test_specifications_with_the_same_lock_share_one_environment(environments: Environments) -> None:
    one = environments.prepare(pip("alpha==1.1"), log=quiet)
    other = environments.prepare(pip("alpha>1.0"), log=quiet)
    different = environments.prepare(pip("alpha==1.0"), log=quiet)
    assert one.id == other.id != different.id


def test_what_an_index_has_later_does_not_change_a_built_environment(environments: Environments, wheels: Path) -> None:
    before = environments.prepare(pip("alpha"), log=quiet)
    make_wheel(wheels, "alpha", "9.0")
    assert environments.prepare(pip("alpha"), log=quiet).id == before.id


def test_conda_names_become_pypi_packages(environments: Environments, wheels: Path) -> None:
    make_wheel(wheels, "msgpack", "1.0.5")
    spec = EnvironmentSpec(conda={"channels": ["defaults"], "dependencies": ["msgpack-python=1.0"]})
    prepared = environments.prepare(spec, log=quiet)
    assert ask(prepared, "import msgpack; print(msgpack.VERSION)") == "1.0.5"
    assert prepared.substitutions == ("conda packages come from PyPI instead of the channels defaults",)


def test_an_image_without_packages_is_a_bare_interpreter(environments: Environments) -> None:
    prepared = environments.prepare(EnvironmentSpec(image=f"docker.io/python:{MINOR}-slim"), log=quiet)
    version = ask(prepared, "import sys; print('.'.join(map(str, sys.version_info[:3])))")
    assert prepared.substitutions == (
        f"image docker.io/python:{MINOR}-slim runs as host interpreter CPython {version}",
    )
    assert prepared.description == f"CPython {version}, no packages"
    assert environments.prepare(EnvironmentSpec(image=f"python:{MINOR}"), log=quiet).id == prepared.id


@pytest.mark.parametrize("requirement", ["nowhere", "alpha==7"])
def test_a_package_that_cannot_be_had_fails_by_name_and_leaves_nothing(
    environments: Environments, tmp_path: Path, requirement: str
) -> None:
    lines: list[str] = []
    with pytest.raises(BuildFailed) as failure:
        environments.prepare(pip("beta", requirement), log=lines.append)
    assert failure.value.message.startswith("The environment can't be built on CPython ")
    assert requirement in failure.value.message and "\n" not in failure.value.message
    assert any(requirement in line for line in lines)
    assert list((tmp_path / "root" / "envs").iterdir()) == []


def test_a_first_try_that_a_second_makes_good_is_a_note_in_the_log_and_no_error(
    environments: Environments, wheels: Path
) -> None:
    make_sdist(wheels, "nosy", "1.0", backend=_NOSY_BACKEND.format(secret="/nonexistent"))
    lines: list[str] = []
    environments.prepare(pip("nosy"), log=lines.append)
    notes = [line for line in lines if line.startswith("note: wheels only did not do: ")]
    assert notes and all("nosy" in note for note in notes)  # one for each interpreter that might have done
    assert not [line for line in lines if "error" in line or "×" in line]


def test_requirements_that_contradict_each_other_fail_with_both_names(environments: Environments) -> None:
    with pytest.raises(BuildFailed, match=r"beta.*alpha"):
        environments.prepare(pip("beta", "alpha==1.1"), log=quiet)


def test_a_package_without_a_wheel_is_built_from_source(environments: Environments, wheels: Path) -> None:
    make_sdist(wheels, "nosy", "1.0", backend=_NOSY_BACKEND.format(secret="/nonexistent"))
    assert ask(environments.prepare(pip("nosy"), log=quiet), "import nosy; print(nosy.FOUND)") == "FileNotFoundError"


@needs_bwrap
def test_a_build_from_source_cannot_read_the_servers_files(
    environ: Mapping[str, str], wheels: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "token"
    secret.write_text("hunter2")
    make_sdist(wheels, "nosy", "1.0", backend=_NOSY_BACKEND.format(secret=str(secret)))
    sandboxed = Environments(tmp_path / "root", environ=environ, bwrap=lambda: find_bwrap()[0])
    assert ask(sandboxed.prepare(pip("nosy"), log=quiet), "import nosy; print(nosy.FOUND)") == "FileNotFoundError"


def test_threads_that_want_the_same_environment_build_it_once(environments: Environments) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: environments.prepare(pip("beta"), log=quiet), range(8)))
    assert len({prepared.id for prepared in made}) == 1
    assert [prepared.is_cached for prepared in made].count(False) == 1


def test_processes_that_want_the_same_environment_build_it_once(environ: Mapping[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-c", _IN_ANOTHER_PROCESS, str(tmp_path / "root")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(environ)) for _ in range(3)]
    told = [process.communicate(timeout=120)[0].split() for process in running]
    assert len({id for id, _ in told}) == 1
    assert sorted(is_cached for _, is_cached in told) == ["False", "True", "True"]


def test_half_built_environments_are_reaped_but_not_those_being_built(
    environments: Environments, tmp_path: Path
) -> None:
    whole = environments.prepare(pip("alpha"), log=quiet)
    envs = tmp_path / "root" / "envs"
    (envs / "half" / "lib").mkdir(parents=True)
    (envs / "busy").mkdir()
    with environments.locked("busy", log=quiet):
        assert environments.reap() == ["half"]
    assert sorted(path.name for path in envs.iterdir()) == sorted([whole.id, "busy"])


def test_an_environment_whose_build_was_cut_short_is_built_again(environments: Environments) -> None:
    first = environments.prepare(pip("alpha"), log=quiet)
    root = first.bin_path.parent
    (root / ".ok").unlink()
    next(root.glob("lib/python*/site-packages/alpha.py")).unlink()
    again = environments.prepare(pip("alpha"), log=quiet)
    assert (again.id, again.is_cached) == (first.id, False)
    assert ask(again, "import alpha; print(alpha.VERSION)") == "1.1"


def test_a_dockerfile_of_packages_only_is_built(environments: Environments, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "requirements.txt").write_text("alpha<1.1  # the old one\n")
    (context / "Dockerfile").write_text(
        f"# ours\nFROM python:{MINOR}\nWORKDIR /app\nCOPY requirements.txt .\n"
        "RUN pip install --no-cache-dir --upgrade pip && \\\n    pip install -r requirements.txt 'beta>=2'\n"
    )
    prepared = environments.prepare(EnvironmentSpec(context=context), log=quiet)
    assert ask(prepared, "import alpha, beta; print(alpha.VERSION, beta.VERSION)") == "1.0 2.0"


def test_an_unknown_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="environment_python is 'off': exact and nearest are known"):
        Environments(tmp_path, policy="off")


def test_uv_is_given_the_operators_index_and_nothing_secret(tmp_path: Path) -> None:
    given = {
        "PIP_INDEX_URL": "https://pip.example/simple", "PIP_EXTRA_INDEX_URL": "https://a.example https://b.example",
        "PIP_CERT": "/etc/ssl/cert.pem", "UV_OFFLINE": "1", "DATABASE_PASSWORD": "hunter2", "https_proxy": "p",
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    told = uv_environment(given, cache=tmp_path)
    assert told["UV_DEFAULT_INDEX"] == "https://pip.example/simple"
    assert told["UV_INDEX"] == "https://a.example https://b.example"
    assert (told["SSL_CERT_FILE"], told["UV_OFFLINE"], told["https_proxy"]) == ("/etc/ssl/cert.pem", "1", "p")
    assert not {"DATABASE_PASSWORD", "PYTHONDONTWRITEBYTECODE", "PIP_INDEX_URL"} & set(told)
    chosen = uv_environment(given | {"UV_DEFAULT_INDEX": "https://uv.example/simple"}, cache=tmp_path)
    assert chosen["UV_DEFAULT_INDEX"] == "https://uv.example/simple" and "UV_INDEX" not in chosen


def curated() -> list[dict[str, object]]:
    folder = resources.files("entrepot.domain") / "curated"
    return [yaml.safe_load(file.read_text()) for file in folder.iterdir() if file.name.endswith(".yml")]


def test_every_curated_environment_can_be_planned() -> None:
    specs = curated()
    assert {"sklearn-1.5", "python-3.11", "python-3.11-mlflow", "python-3.10-mlflow", "xgboost-2.1"} == {
        spec["name"] for spec in specs
    }
    on = [Interpreter((3, 11, 2), Path("/usr/bin/python3.11")), Interpreter((3, 10, 1), Path("/usr/bin/python3.10"))]
    for spec in specs:
        assert set(spec) <= {"name", "version", "description", "image", "conda", "tags", "stands_in_for"}
        wanted = plan(EnvironmentSpec(image=spec["image"], conda=spec.get("conda")), on, policy="exact")  # type: ignore[arg-type]
        assert len(wanted.interpreters) == 1


def test_all_but_the_python_3_10_one_need_python_3_11_only() -> None:
    on = [Interpreter((3, 11, 2), Path("/usr/bin/python3.11"))]
    failed = []
    for spec in curated():
        try:
            plan(EnvironmentSpec(image=spec["image"], conda=spec.get("conda")), on, policy="exact")  # type: ignore[arg-type]
        except BuildFailed:
            failed.append(spec["name"])
    assert failed == ["python-3.10-mlflow"]


_TRAIN = """
import mlflow, mlflow.sklearn, pandas as pd, sklearn
from sklearn.linear_model import LinearRegression

frame = pd.DataFrame({"a": [1.0, 2.0, 3.0]}).append(pd.DataFrame({"a": [4.0]}), ignore_index=True)
mlflow.sklearn.autolog()
with mlflow.start_run() as run:
    model = LinearRegression().fit(frame[["a"]], [1, 2, 3, 4])
    mlflow.log_metric("rmse", 0.5)
    mlflow.sklearn.save_model(model, "model")
data = mlflow.get_run(run.info.run_id).data
assert data.metrics["rmse"] == 0.5 and "training_score" in data.metrics and data.params["fit_intercept"] == "True"
assert round(mlflow.pyfunc.load_model("model").predict(frame[["a"]])[3]) == 4
print(sklearn.__version__, pd.__version__)
"""


@pytest.mark.slow
def test_the_curated_sklearn_trains_tracks_and_saves(tmp_path: Path) -> None:
    (spec,) = (spec for spec in curated() if spec["name"] == "sklearn-1.5")
    backend = LocalBackend(tmp_path / "home")
    prepared = backend.prepare(EnvironmentSpec(image=spec["image"], conda=spec["conda"]), log=print)  # type: ignore[arg-type]
    done = subprocess.run(
        [prepared.python, "-W", "ignore", "-c", _TRAIN], cwd=tmp_path, capture_output=True, text=True,
        env={"PATH": f"{prepared.bin_path}:{os.defpath}", "HOME": str(tmp_path),
             "MLFLOW_TRACKING_URI": f"file://{tmp_path}/mlruns"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1.5.") and " 1.5.3" in done.stdout


@pytest.mark.slow
def test_the_seeds_environment_is_built_where_there_is_a_python_3_7_and_refused_by_name_elsewhere(
    tmp_path: Path,
) -> None:
    seed = {
        "name": "model-env", "channels": ["conda-forge"],
        "dependencies": ["python=3.7", "numpy=1.21.2", "pip=21.2.4", "scikit-learn=0.24.2", "scipy=1.7.1",
                         {"pip": ["azureml-defaults==1.38.0", "joblib==1.0.1"]}],
    }  # fmt: skip
    spec = EnvironmentSpec(image="mcr.microsoft.com/azureml/openmpi3.1.2-ubuntu18.04:20210727.v1", conda=seed)
    backend = LocalBackend(tmp_path / "home")
    if not any(found.minor == (3, 7) for found in Interpreters(tmp_path / "known.json").discover()):
        with pytest.raises(BuildFailed, match=r"python=3\.7 is asked for and no such interpreter is on this machine"):
            backend.prepare(spec, log=print)
        return
    prepared = backend.prepare(spec, log=print)
    code = "import sklearn, numpy, pip, azureml.core; print(sklearn.__version__, numpy.__version__, pip.__version__)"
    assert ask(prepared, code) == "0.24.2 1.21.2 21.2.4"
    assert json.dumps(prepared.substitutions).count("runs as host interpreter CPython 3.7.") == 1
