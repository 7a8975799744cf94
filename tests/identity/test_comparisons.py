"""Secrets are compared in constant time: no `==` in our source has one on a side."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import entrepot

SOURCE = Path(entrepot.__file__).parent
SECRET = re.compile(
    r"secret|passw|token|signature|\bsig\b|cookie|verifier|challenge|nonce|hashed|primary$|secondary$|\bmac\b|code_of|"
    r"presented|user_code|device_code|identity_header"
)
HARMLESS = {
    "held['hint'] == secret[:_HINT]": "the first letters of a secret, which lists of credentials show",
    "token != expected": "a word of the language of templates",
    "value == secret": "nobody presents anything: a secret is taken out of an answer",
    "mode != bodies.AUTH_MODES['amltoken']": "a way to sign in",
    "slot == PRIMARY": "which of two keys",
    "region != primary": "which of several regions",
}


def names(node: ast.expr) -> Iterator[str]:
    """Yield what an operand is called: a name, an attribute, the key of an item, the function that makes it."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.Subscript):
        if isinstance(node.slice, ast.Constant):
            yield str(node.slice.value)
        elif isinstance(node.slice, ast.Slice):
            yield from names(node.value)
    elif isinstance(node, ast.Call):
        is_measure = isinstance(node.func, ast.Name) and node.func.id in ("len", "type", "set", "sorted")
        if not is_measure:
            yield from ("mac" if name in ("digest", "hexdigest") else name for name in names(node.func))
            yield from (str(one.value) for one in node.args[:1] if isinstance(one, ast.Constant))
            if isinstance(node.func, ast.Attribute) and node.func.attr in ("encode", "decode", "strip", "lower"):
                yield from names(node.func.value)


def comparisons(source: str) -> Iterator[tuple[int, str]]:
    """Yield the lines on which a secret is compared with something that is not written there."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], ast.Eq | ast.NotEq):
            continue
        sides = [node.left, *node.comparators]
        if any(isinstance(side, ast.Constant | ast.List | ast.Tuple | ast.Dict) for side in sides):
            continue
        called = [name for side in sides for name in names(side)]
        if any(SECRET.search(name.lower()) for name in called) and ast.unparse(node) not in HARMLESS:
            yield node.lineno, ast.unparse(node)


@pytest.mark.parametrize(
    "bad",
    [
        "if given == secret: pass", "ok = form['password'] != known", "ok = hmac.new(k, b, h).hexdigest() == sent",
        "return self.token.encode() == header", "ok = given.get('sig') == expected", "ok = secret[:9] == held",
        "ok = presented == keys.primary",
    ],
)  # fmt: skip
def test_the_search_finds_what_it_is_for(bad: str) -> None:
    assert list(comparisons(bad if not bad.startswith("return") else f"def f():\n {bad}"))


@pytest.mark.parametrize("fine", ["hmac.compare_digest(a, secret)", "len(secret) == size", "token == ','", "a == b"])
def test_the_search_leaves_what_is_fine(fine: str) -> None:
    assert not list(comparisons(fine))


def test_no_secret_is_compared_with_an_operator() -> None:
    found = [
        (str(file.relative_to(SOURCE)), line, text)
        for folder in ("server", "domain", "core", "runtime", "store", "wire")
        for file in sorted((SOURCE / folder).rglob("*.py"))
        for line, text in comparisons(file.read_text())
    ]
    assert not found, "\n".join(map(str, found))
