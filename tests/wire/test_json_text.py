"""JSON text in: positions in refusals, and ARM's JSON with comments."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.core.errors import InvalidRequest
from entrepot.wire.json_text import decode_json, decode_jsonc

SPLICED = b"""{"properties": {"parameters": {"registryName": {"value": "contoso"}}, "mode": "Incremental", template:{
  // a registry, as `az deployment group create` splices it
  "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
  "note": "two
lines // not a comment, nor /* this */, nor a , ]",
  /* block
     comment */
  "template": "kept",
  "resources": [ {"type": "x", "quote": "\\"//\\"",}, ],
} }}"""


def test_a_spliced_template_is_read() -> None:
    template = decode_jsonc(SPLICED)["properties"]["template"]
    assert template["$schema"].startswith("https://schema.management.azure.com/")
    assert template["note"] == "two\nlines // not a comment, nor /* this */, nor a , ]"
    assert template["template"] == "kept"
    assert template["resources"] == [{"type": "x", "quote": '"//"'}]


def test_a_refused_template_tells_the_line_in_the_text_that_was_sent() -> None:
    with pytest.raises(InvalidRequest, match=r"line 4, column 3"):
        decode_jsonc(b'{ // one\n /* two\n three */ "a": 1,\n  b: 2}')


def test_a_refused_body_tells_line_and_column() -> None:
    with pytest.raises(InvalidRequest, match=r"not JSON: .* line 2, column 7"):
        decode_json(b'{"a": 1,\n "b": nope}')


@pytest.mark.parametrize(
    ("body", "word"),
    [(b"", "empty"), (b"  ", "empty"), (b'"\xff"', "UTF-8"), (b"[" * 100_000, "nested too deeply"), (b"{}x", "line 1")],
)
def test_what_is_no_json_is_refused_in_words(body: bytes, word: str) -> None:
    with pytest.raises(InvalidRequest, match=word):
        decode_json(body)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values)
def test_strict_json_reads_the_same_in_both_readers(value: object) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass")
    try:
        text.decode()
    except UnicodeDecodeError:
        return  # a lone surrogate is no text
    assert decode_json(text) == value
    assert decode_jsonc(text) == value
