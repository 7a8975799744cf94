"""Addresses of Azure's storage as inputs and assets: those that a datastore of the workspace names are its own."""

from typing import Any

import pytest

from entrepot.core.errors import AddressRefused, Unsupported
from entrepot.core.ids import AssetRef
from entrepot.core.nouns import DATA
from entrepot.domain import datastores
from entrepot.domain.assets import catalog
from entrepot.testing.hub import OWNER
from tests.jobs.conftest import House

Json = Any
FORMS = (
    "wasbs://{container}@{account}.blob.core.windows.net/in/a%20b.txt",
    "abfss://{container}@{account}.dfs.core.windows.net/in/a%20b.txt",
    "https://{account}.blob.core.windows.net/{container}/in/a%20b.txt",
    "https://{account}.blob.core.windows.net/{container}/in/a%20b.txt?sv=2024&sig=x",
    "https://{account}.dfs.core.windows.net/{container}/in/a%20b.txt",
)


def addresses(house: House) -> list[str]:
    """Return each spelling of a file that is in the default datastore."""
    house.upload("in", {"a b.txt": b"hello"})
    store = datastores.get(house.hub, OWNER, house.scope, "workspaceblobstore").body["properties"]
    return [form.format(container=store["containerName"], account=store["accountName"]) for form in FORMS]


def test_every_spelling_of_a_file_in_a_datastore_is_read(house: House) -> None:
    for number, uri in enumerate(addresses(house)):
        given = {"jobInputType": "uri_file", "uri": uri}
        house.command(f"j{number}", "cat '${{inputs.i}}'", inputs={"i": given})
        ended = house.finish(f"j{number}")
        assert ended["properties"]["status"] == "Completed", (uri, ended["properties"].get("error"))
        assert "hello" in house.log(f"j{number}")
        assert "datastores/workspaceblobstore/paths/in/a b.txt" in ended["properties"]["inputs"]["i"]["uri"]


def test_a_data_asset_of_such_an_address_has_its_bytes(house: House) -> None:
    for number, uri in enumerate(addresses(house)):
        ref = AssetRef(house.scope, DATA, f"d{number}", "1")
        made = catalog.create(house.hub, OWNER, ref, {"dataUri": uri, "dataType": "uri_file"})
        assert made[0].body["entrepot"]["snapshot"], uri


@pytest.mark.parametrize(
    ("uri", "error", "words"),
    [
        ("wasbs://c@elsewhere.blob.core.windows.net/x", Unsupported, "where a datastore of the workspace has its"),
        ("abfss://c@elsewhere.dfs.core.windows.net/x", Unsupported, "`mode: direct` hands the address"),
        ("https://elsewhere.blob.core.windows.net/c/x", AddressRefused, "fetch_addresses"),
    ],
)
def test_storage_elsewhere_is_refused_in_clear_words_and_handed_on_directly(
    house: House, uri: str, error: type[Exception], words: str
) -> None:
    given = {"jobInputType": "uri_file", "uri": uri}
    with pytest.raises(error, match=words):
        house.command("j", "cat ${{inputs.i}}", inputs={"i": given})
    house.command("direct", "echo ${{inputs.i}}", inputs={"i": {**given, "mode": "Direct"}})
    assert house.finish("direct")["properties"]["status"] == "Completed"
    assert uri in house.log("direct")
