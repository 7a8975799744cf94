"""conda.yml as PyPI requirements: what is translated, what is noted, what is refused and how."""

from typing import Any

import pytest

from entrepot.compute.conda import read_conda
from entrepot.core.errors import BuildFailed


def conda(*dependencies: object, **more: Any) -> dict[str, object]:
    return {"name": "env", "channels": ["conda-forge"], "dependencies": list(dependencies), **more}


def test_the_seeds_environment_is_translated() -> None:
    plan = read_conda(
        conda("python=3.7", "numpy=1.21.2", "pip=21.2.4", "scikit-learn=0.24.2", "scipy=1.7.1",
              {"pip": ["azureml-defaults==1.38.0", "joblib==1.0.1"]})
    )  # fmt: skip
    assert plan.python == "==3.7.*"
    assert plan.requirements == (
        "numpy==1.21.2.*", "pip==21.2.4.*", "scikit-learn==0.24.2.*", "scipy==1.7.1.*",
        "azureml-defaults==1.38.0", "joblib==1.0.1",
    )  # fmt: skip
    assert plan.substitutions == ("conda packages come from PyPI instead of the channels conda-forge",)


@pytest.mark.parametrize(
    ("entry", "requirement"),
    [
        ("numpy", "numpy"),
        ("NumPy=1.2", "numpy==1.2.*"),
        ("numpy==1.2", "numpy==1.2"),
        ("numpy=1.2.*", "numpy==1.2.*"),
        ("numpy==1.2.*", "numpy==1.2.*"),
        ("numpy=1.2*", "numpy==1.2.*"),
        ("numpy=2.0rc1", "numpy==2.0rc1"),
        ("numpy>=1.2", "numpy>=1.2"),
        ("numpy >=1.2, <2", "numpy>=1.2,<2"),
        ("numpy>=1.2.*", "numpy>=1.2"),
        ("numpy!=1.3.*", "numpy!=1.3.*"),
        ("numpy~=1.2", "numpy~=1.2"),
        ("numpy 1.2.3", "numpy==1.2.3"),
        ("numpy 1.2.*", "numpy==1.2.*"),
        ("numpy=*", "numpy"),
        ("numpy *", "numpy"),
        ("conda-forge::numpy=1.2", "numpy==1.2.*"),
        ("numpy[version='>=1.2,<2']", "numpy>=1.2,<2"),
        ("pytorch=2.1", "torch==2.1.*"),
        ("matplotlib-base", "matplotlib"),
        ("msgpack-python", "msgpack"),
        ("dask-core>=2", "dask>=2"),
        ("pytables", "tables"),
        ("psycopg2", "psycopg2-binary"),
        ("opencv", "opencv-python-headless"),
        ("python-graphviz", "graphviz"),
    ],
)
def test_a_conda_specification_becomes_a_requirement(entry: str, requirement: str) -> None:
    assert read_conda(conda(entry)).requirements == (requirement,)


@pytest.mark.parametrize("entry", ["numpy=1.2=py37_0", "numpy==1.2=py37_0", "numpy 1.2 py37_0"])
def test_a_build_string_makes_the_version_exact_and_is_noted(entry: str) -> None:
    plan = read_conda(conda(entry))
    assert plan.requirements == ("numpy==1.2",)
    assert any("the build string 'py37_0' was ignored" in note for note in plan.substitutions)


def test_of_alternatives_the_last_is_tried_and_that_is_noted() -> None:
    plan = read_conda(conda("numpy=1.21|=1.22"))
    assert plan.requirements == ("numpy==1.22.*",)
    assert "conda package 'numpy=1.21|=1.22': of the alternatives, only '=1.22' was tried" in plan.substitutions


@pytest.mark.parametrize(
    ("entry", "clauses"), [("python", ""), ("python=3.9", "==3.9.*"), ("python>=3.8,<3.12", ">=3.8,<3.12")]
)
def test_python_is_no_requirement_but_a_pin(entry: str, clauses: str) -> None:
    plan = read_conda(conda(entry))
    assert (plan.python, plan.requirements) == (clauses, ())


def test_what_is_not_on_pypi_is_refused_and_all_of_it_is_named() -> None:
    with pytest.raises(BuildFailed) as failure:
        read_conda(conda("numpy", "openmpi=4.1", "cudatoolkit=11.3", "gcc", "git", "nodejs>=16"))
    for name in (
        "'openmpi=4.1' (an MPI library)",
        "'cudatoolkit=11.3' (a GPU library)",
        "'gcc'",
        "'git'",
        "'nodejs>=16'",
    ):
        assert name in failure.value.message
    assert "numpy" not in failure.value.message


def test_what_wheels_bring_along_is_left_out_with_a_note() -> None:
    plan = read_conda(conda("libgcc-ng", "mkl", "numpy"))
    assert plan.requirements == ("numpy",)
    assert "conda package 'mkl' left out: wheels bring their own BLAS" in plan.substitutions


def test_a_private_channel_is_refused_when_packages_would_come_from_it() -> None:
    with pytest.raises(BuildFailed, match=r"channel https://conda\.contoso\.example/private can't be used"):
        read_conda(conda("ourlib=1", channels=["conda-forge", "https://conda.contoso.example/private"]))
    plan = read_conda(conda("python=3.9", {"pip": ["six"]}, channels=["https://conda.contoso.example/private"]))
    assert plan.requirements == ("six",)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"name": "x"}, "there is no 'dependencies' list"),
        ({"dependencies": "numpy"}, "'dependencies' must be a list, got a text"),
        ({"dependencies": ["numpy", 3.7]}, r"entry 2 of 'dependencies' must be a text .* got a number \(3.7\)"),
        ({"dependencies": [None]}, "entry 1 .* got nothing"),
        ({"dependencies": [{"conda": ["x"]}]}, "only 'pip:' may hold a list inside 'dependencies', got conda"),
        ({"dependencies": [{"pip": "six"}]}, r"'pip:' must be a list of requirements, got a text \('six'\)"),
        ({"dependencies": [{"pip": ["-r requirements.txt"]}]}, "'-r requirements.txt' is not supported"),
        ({"dependencies": [{"pip": ["-e ."]}]}, "'-e .' is not supported"),
        ({"dependencies": [{"pip": ["./wheel"]}]}, "'./wheel' is a local path"),
        ({"dependencies": ["=1.2"]}, "'=1.2' is not a package specification"),
        ({"dependencies": ["numpy=>1"]}, "'=>1' is not a version"),
        ({"dependecies": []}, "unknown key 'dependecies'; known are name, channels, dependencies"),
        ({"channels": "conda-forge", "dependencies": ["numpy"]}, "'channels' must be a list of names, got a text"),
    ],
)
def test_a_malformed_file_is_refused_with_what_would_be_right(document: dict[str, object], message: str) -> None:
    with pytest.raises(BuildFailed, match=message):
        read_conda(document)
