"""Fuzzers: whatever text comes, each parser gives a value or its documented error."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from entrepot.client import files
from entrepot.client.failures import FileFailure
from entrepot.core import ids
from entrepot.core.errors import InvalidRequest, Unauthenticated
from entrepot.core.manifests import Manifest, is_safe_path
from entrepot.core.nouns import DATA, MODEL
from entrepot.domain import yaml_text
from entrepot.domain.assets import environment
from entrepot.domain.deployments.language.expressions import Evaluator
from entrepot.domain.deployments.language.functions import PURE
from entrepot.domain.deployments.making import Unknown
from entrepot.domain.deployments.places import Place
from entrepot.domain.deployments.template import Template
from entrepot.domain.jobs import expressions
from entrepot.server.dataplane import conditions
from entrepot.server.dataplane.messages import Refusal
from entrepot.server.dataplane.sas import SasSigner
from entrepot.store import paths
from entrepot.store.web import addresses
from entrepot.store.web.addresses import Allowed
from entrepot.wire.json_text import decode_json, decode_jsonc

FUZZED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def texts(*words: str) -> st.SearchStrategy[str]:
    """Texts of a grammar's own words, of which some are any text at all."""
    piece = st.sampled_from(words) | st.text(max_size=5)
    return st.lists(piece, max_size=25).map("".join)


YAML = texts(
    "a", ":", " ", "\n", "- ", "? ", "&x ", "*x", "<<: ", "[", "]", "{", "}", ",", "'", '"', "|", ">", "#", "!!int ",
    "!!float ", "!!bool ", "!!binary ", "!!timestamp ", "!!set ", "!!omap ", "!!pairs ", "!!python/name:os.system ",
    "~", "0x", "1_", "1:2", "2001-01-01", ".inf", "---\n", "...\n", "%YAML 9.9\n", "\t", "\x00", "\ufeff", "\\ud800",
)  # fmt: skip
JSONC = texts(
    "{", "}", "[", "]", ",", ":", '"', "template", "//", "/*", "*/", "\n", "\\", "\\u", "d800", "1", "e", "9" * 20,
    "-", "null", "NaN", " ",
)  # fmt: skip
REFERENCES = texts(
    "azureml:", "azureml://", "registries/", "/", "models/", "data/", "versions/", "labels/", "latest", "@", ":", "1",
    "m", "subscriptions/", "resourcegroups/", "workspaces/", "datastores/", "paths/", "jobs/", "outputs/", "runs:/",
    "..", "%2f", "http://", "[", "]",
)  # fmt: skip
EXPRESSIONS = texts(
    "${{", "}}", "inputs", "outputs", ".", "x", "parent", "jobs", "$[[", "]]", "[", "]", "'", '"', " ", "$"
)
TEMPLATES = texts("(", ")", ",", "'", ".", "[", "]", "1", "-", " ", *sorted(PURE))


@FUZZED
@given(YAML)
def test_yaml(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.yml"
    file.write_text(text, errors="surrogatepass")
    with suppress(FileFailure):
        files.load(file)
    with suppress(InvalidRequest):
        yaml_text.read(text, "It")
    with suppress(InvalidRequest):
        environment.build_digest({"condaFile": text}, {})


@FUZZED
@example("dependencies: []\nname: 2001-01-01")
@example("dependencies: []\n1: x\nb: y")
@example("dependencies: []\nb: !!binary aaaa")
@given(YAML.map(lambda text: f"dependencies: []\nname: {text}"))
def test_conda_files(text: str) -> None:
    with suppress(InvalidRequest):
        environment.build_digest({"condaFile": text}, {})


@FUZZED
@given(JSONC)
def test_json(text: str) -> None:
    for read in (decode_json, decode_jsonc):
        with suppress(InvalidRequest):
            assert msgspec.json.encode(read(text.encode("utf-8", "surrogatepass"))) is not None


@FUZZED
@given(REFERENCES)
def test_references(text: str) -> None:
    for kind in (None, MODEL, DATA):
        with suppress(InvalidRequest):
            ids.parse_reference(text, kind)


@FUZZED
@given(EXPRESSIONS)
def test_expressions(text: str) -> None:
    names = expressions.Names({"x": "1"}, {"x": "/out"})
    for read in (expressions.paths, lambda text, where: expressions.render_command(text, names, where=where)):
        with suppress(InvalidRequest):
            read(text, where="here")
    expressions.optional_inputs(text)
    with suppress(InvalidRequest):
        expressions.whole(text)


@FUZZED
@given(TEMPLATES)
def test_template_expressions(text: str) -> None:
    with suppress(InvalidRequest):
        Evaluator(PURE).text(f"[{text}]", where="here")


ATOMS = st.none() | st.booleans() | st.integers(-5, 900) | st.floats() | st.sampled_from(
    ["", "x", "[", "[[x]", "[parameters('p')]", "[variables('p')]", "[copyIndex()]", "[p.p(1)]", "[reference('p').y]"]
) | TEMPLATES.map(lambda text: f"[{text}]")  # fmt: skip
PARTS = st.sampled_from(
    [
        "allowedValues",
        "condition",
        "copy",
        "count",
        "defaultValue",
        "dependsOn",
        "existing",
        "expressionEvaluationOptions",
        "input",
        "members",
        "minLength",
        "name",
        "namespace",
        "output",
        "p",
        "parameters",
        "properties",
        "resources",
        "scope",
        "template",
        "type",
        "value",
    ]
)
JSON = st.recursive(ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PARTS, inner, max_size=4))
KINDS = st.sampled_from(["Microsoft.MachineLearningServices/workspaces", "Microsoft.Resources/deployments"])
RESOURCES = st.builds(
    lambda kind, more: {**more, "type": kind, "name": "a"}, KINDS, st.dictionaries(PARTS, JSON, max_size=4)
)
WHOLE = st.fixed_dictionaries(
    {"resources": st.lists(RESOURCES, max_size=3) | JSON},
    optional={
        part: JSON | st.dictionaries(PARTS, JSON) for part in ("parameters", "variables", "outputs", "functions")
    },
)


@FUZZED
@given(WHOLE, JSON)
def test_templates(whole: Any, values: Any) -> None:
    place = Place("s1", "rg1", "eastus", "t", "made", 0.0)
    with suppress(InvalidRequest, Unknown):
        template = Template(whole, values, place)
        for resource in template.resources:
            with suppress(Unknown):
                template.body_of(resource, {})
        template.outputs({})


CHECKS: list[Callable[[str], Any]] = [
    ids.check_registry_name, ids.check_workspace_name, ids.check_job_name, ids.check_endpoint_name,
    ids.check_deployment_name, ids.check_version, ids.normalise_region, lambda name: ids.check_asset_name(MODEL, name),
    lambda name: ids.check_port_name(name, side="input"), paths.check_container_name, paths.check_blob_name,
]  # fmt: skip
ODD = (
    "..",
    ".",
    "/",
    "\\",
    "\0",
    "\n",
    "\r",
    "a",
    "-",
    "_",
    " ",
    "\u202e",
    "\u2024\u2024",
    "\uff0f",
    "\uff0e",
    "\ud800",
    "%2e",
    "~",
)
TRAVERSALS = (
    "../x", "a/../../x", "/etc/passwd", "..\\x", "C:\\x", "a\0b", "a\nb", "", ".", "..", "./a", "a//b", "a/", "a/./b",
    "x" * 1025, "d/" + "y" * 256, "\ud800", "a\x7f", "\u00e9" * 130,
)  # fmt: skip


@FUZZED
@given(texts(*ODD))
def test_names_that_pass_are_one_harmless_segment(text: str) -> None:
    for check in CHECKS:
        with suppress(InvalidRequest):
            found = check(text)  # a region's is its canonical spelling
            assert found not in ("", ".", "..") and not set(found) & set("\0\r\n\\\ud800"), found
            assert check is paths.check_blob_name or "/" not in found
            assert check is not paths.check_blob_name or ".." not in found.split("/")


@pytest.mark.parametrize("path", TRAVERSALS)
def test_paths_that_climb_or_cannot_be_are_refused_wherever_bytes_come_in(path: str) -> None:
    assert not is_safe_path(path)
    entry = {"path": path, "digest": "0" * 64, "size": 0}
    with pytest.raises(InvalidRequest):
        Manifest.decode(json.dumps({"files": [entry]}).encode())
    for check in (paths.check_blob_name, paths.check_container_name, *CHECKS[:5], *CHECKS[7:9]):
        with pytest.raises(InvalidRequest):
            check(path)


@pytest.mark.parametrize("version", ["1\u202e2", "1\u200b", "1\ufeff", "\u20661", "1\x85", "\ud800"])
def test_a_version_that_only_looks_like_another_is_refused(version: str) -> None:
    with pytest.raises(InvalidRequest, match="invisible"):
        ids.check_version(version)


@pytest.mark.parametrize("version", ["\uff11", "\u00bd", "1\u2024" + "0", "e\u0301", "\ufb01", "\u2460"])
def test_a_version_that_is_another_one_in_other_letters_is_refused(version: str) -> None:
    with pytest.raises(InvalidRequest, match="it looks like"):
        ids.check_new_version(version)
    assert ids.check_new_version("\u00e9t\u00e9-1") == "\u00e9t\u00e9-1"


@pytest.mark.parametrize("size", [0, 1, 10**12])
@FUZZED
@given(texts("bytes", "=", "-", ",", "0", "9" * 18, "9" * 30, " ", "\u0663"))
def test_ranges(size: int, text: str) -> None:
    with suppress(Refusal):
        found = conditions.wanted_range({"range": text}, size)
        assert found is None or (found[0] >= 0 and found[1] > 0 and found[0] + found[1] <= size)


@FUZZED
@given(texts("sig", "=", "&", "se", "sp", "sv", "sr", "2099-01-01T00:00:00Z", "racwdl", "%00", "%ff", ";", "+", "?"))
def test_signatures(text: str) -> None:
    with pytest.raises(Unauthenticated):
        SasSigner(b"k" * 32).verify("container", text, 0.0)


@FUZZED
@given(
    texts(
        "http",
        "https",
        "://",
        "[",
        "]",
        ":",
        "@",
        "/",
        "127.0.0.1",
        "0x",
        ".",
        "%",
        "?",
        "#",
        "::1",
        "\\",
        "\n",
        "99999",
    )
)
def test_addresses(text: str) -> None:
    with suppress(InvalidRequest):
        addresses.check(text, Allowed.of(["loopback", "public"]))
