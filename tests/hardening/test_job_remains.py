"""What a hostile job leaves where the server collects its outputs, and the names by which it asks for folders."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrepot.core.errors import InvalidName
from entrepot.core.ids import AssetRef
from entrepot.core.nouns import COMPONENT
from entrepot.domain.assets import catalog
from entrepot.store import disk
from entrepot.testing.hub import OWNER
from tests.jobs.conftest import House, backend, idle

__all__ = ["backend", "idle"]

Json = Any
FOLDER = {"result": {"jobOutputType": "uri_folder"}}
FILE = {"result": {"jobOutputType": "uri_file"}}
VALUE = {"result": {"jobOutputType": "string"}}
OUT = "${{outputs.result}}"


@pytest.fixture
def house(idle: House) -> Iterator[House]:
    """A house that works, and has a token in its home."""
    (idle.hub.settings.home / "run").mkdir()
    (idle.hub.settings.home / "run" / "token").write_text("token-of-the-owner")
    idle.start()
    yield idle


def told(house: House, name: str) -> str:
    """Return the error of a job that must have failed, after checking that it gave nothing of the home away."""
    body = house.finish(name)
    assert body["properties"]["status"] == "Failed", body
    kept = b"".join(house.output(name, "artifacts").values())
    assert b"token-of-the-owner" not in kept
    assert not body["entrepot"]["outputs"]
    return str(body["properties"]["error"]["message"])


@pytest.mark.parametrize(
    ("outputs", "command"),
    [
        (FOLDER, f"rmdir {OUT} && ln -s $HOUSE/run {OUT}"),
        (FOLDER, f"ln -s $HOUSE/run {OUT}/in"),
        (FOLDER, f"ln -s $HOUSE/run/token {OUT}/in"),
        (FOLDER, f"ln -s /proc/self/root$HOUSE/run/token {OUT}/in"),
        (FILE, f"ln -s $HOUSE/run/token {OUT}"),
        (FILE, f"rmdir $(dirname {OUT}) && ln -s $HOUSE/run $(dirname {OUT})"),
        (VALUE, f"ln -s $HOUSE/run/token {OUT}"),
        (VALUE, f"rmdir $(dirname {OUT}) && ln -s $HOUSE/run $(dirname {OUT})"),
        ({}, "rmdir outputs && ln -s $HOUSE/run outputs"),
        ({}, "ln -s $HOUSE/run/token outputs/in"),
    ],
)
def test_a_link_to_the_servers_files_is_not_followed(house: House, outputs: Json, command: str) -> None:
    variables = {"HOUSE": str(house.hub.settings.home)}
    house.command("j", command, outputs=outputs, environmentVariables=variables)
    assert "link" in told(house, "j") or "not a plain file" in told(house, "j")


def test_a_link_is_not_written_through(house: House) -> None:
    target = house.hub.settings.home / "made-by-a-job"
    house.command(
        "j", f"ln -s {target} {OUT}", outputs=VALUE,
        properties={"azureml.pipeline.control": '{"result": "a line for authorized_keys"}'},
    )  # fmt: skip
    assert "not a plain file" in told(house, "j")
    assert not target.exists()


@pytest.mark.parametrize(
    ("outputs", "command"),
    [
        (FOLDER, f"mkfifo {OUT}/in"),
        (FOLDER, f"rmdir {OUT} && mkfifo {OUT}"),
        (FILE, f"mkfifo {OUT}"),
        (VALUE, f"mkfifo {OUT}"),
        ({}, "mkfifo outputs/in"),
        (FOLDER, f"cd {OUT} && python -c \"import socket; socket.socket(socket.AF_UNIX).bind('in')\""),
    ],
)
def test_what_would_hang_the_collector_is_refused(house: House, outputs: Json, command: str) -> None:
    house.command("j", command, outputs=outputs, properties={"azureml.pipeline.control": '{"result": "x"}'})
    message = told(house, "j")
    assert "file" in message and "server failed" not in message, message


def test_a_device_file_cannot_be_made(house: House) -> None:
    house.command("j", f"mknod {OUT}/null c 1 3", outputs=FOLDER)
    assert "not permitted" in told(house, "j")


def test_a_tree_deeper_than_can_be_walked_is_refused_and_removed(house: House) -> None:
    script = "import os\nfor _ in range(3000):\n os.mkdir('a'); os.chdir('a')"
    house.command("j", f'cd {OUT} && python -c "{script}" && cd $TMPDIR && python -c "{script}"', outputs=FOLDER)
    assert "cannot be a file's path" in told(house, "j")
    jobs = house.hub.settings.home / "jobs"
    house.until(lambda: not any(path.name == "j" for scope in jobs.iterdir() for path in scope.iterdir()))


@pytest.mark.parametrize("name", ["a\\\\b", "$'line\\nbreak'", "$'bad\\xff'"])
def test_a_file_name_that_other_systems_would_read_as_another_is_refused(house: House, name: str) -> None:
    house.command("j", f"touch {OUT}/{name}", outputs=FOLDER)
    message = told(house, "j")
    assert "cannot be a file's path" in message or "not UTF-8" in message


def test_a_hard_link_to_an_input_does_not_let_it_be_changed(house: House) -> None:
    uri = house.upload("in", {"a.txt": b"original"})
    house.command(
        "j", f"ln ${{{{inputs.given}}}}/a.txt {OUT}/a.txt 2>&1; echo changed > {OUT}/a.txt", outputs=FOLDER,
        inputs={"given": {"jobInputType": "uri_folder", "uri": uri}},
    )  # fmt: skip
    assert house.finish("j")["properties"]["status"] == "Completed"
    assert "Invalid cross-device link" in house.log("j")
    house.command("again", "cat ${{inputs.given}}/a.txt", inputs={"given": {"jobInputType": "uri_folder", "uri": uri}})
    house.finish("again")
    assert house.log("again") == "original"


NAMES = ["../../x", "/tmp/x", "a/b", "..", ".", ".hidden", "a\0b", "x" * 300, "-o", "", "e\u0301", "a b"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_would_be_a_path_is_no_name_of_an_input_or_output(idle: House, name: str) -> None:
    uri = idle.upload("in", {"a.txt": b"one"})
    given = {"jobInputType": "uri_folder", "uri": uri}
    with pytest.raises(InvalidName, match="inputs"):
        idle.command("i", "true", inputs={name: given})
    with pytest.raises(InvalidName, match="outputs"):
        idle.command("o", "true", outputs={name: {"jobOutputType": "uri_folder"}})
    for side in ("inputs", "outputs"):
        spec = {"name": "c", "version": "1", "type": "command", "command": "true", side: {name: {"type": "uri_folder"}}}
        with pytest.raises(InvalidName, match=side):
            catalog.create(idle.hub, OWNER, AssetRef(idle.scope, COMPONENT, "c", "1"), {"componentSpec": spec})
    node = {"type": "command", "componentId": idle.component("fine", "true")}
    for side, value in (("inputs", given), ("outputs", {"jobOutputType": "uri_folder"})):
        with pytest.raises(InvalidName, match=side):
            idle.pipeline(f"p-{side}", {"node": {**node, side: {name: value}}})


def test_removing_a_tree_leaves_what_its_links_lead_to(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("mine")
    tree = tmp_path / "tree"
    inner = tree / "a"
    inner.mkdir(parents=True)
    (inner / "link").symlink_to(kept)
    inner.chmod(0)
    disk.remove_tree(tree)
    assert not tree.exists()
    assert (kept / "file").read_text() == "mine"
    link = tmp_path / "link"
    link.symlink_to(kept)
    disk.remove_tree(link)
    assert (kept / "file").exists()
