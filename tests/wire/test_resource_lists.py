"""`az resource list`: filters as az writes them."""

import pytest

from entrepot.core.errors import InvalidRequest
from entrepot.wire.resource_lists import as_resource, resource_filter

BODY = {
    "id": "/subscriptions/s/resourceGroups/Rg/providers/P/workspaces/dev",
    "name": "dev",
    "type": "Microsoft.MachineLearningServices/workspaces",
    "location": "eastus",
    "tags": {"team": "o'neil and sons"},
    "properties": {"provisioningState": "Succeeded", "secret": 1},
    "systemData": {"createdAt": "t0", "lastModifiedAt": "t1"},
}


@pytest.mark.parametrize(
    ("text", "is_admitted"),
    [
        ("", True),
        ("resourceGroup eq 'rg' and name eq 'DEV' and location eq 'eastus'", True),
        ("resourceType eq 'microsoft.machinelearningservices/Workspaces'", True),
        ("tagName eq 'team' and tagValue eq 'o''neil and sons'", True),
        ("tagName eq 'team' and tagValue eq 'o''neil'", False),
        ("tagName eq 'team'", True),
        ("tagName eq 'Team'", False),
        ("location eq 'westus'", False),
        ("name eq 'dev' and resourceType eq 'A/b'", False),
    ],
)
def test_a_filter_admits_what_it_names(text: str, is_admitted: bool) -> None:
    assert resource_filter(text).admits(BODY) is is_admitted


@pytest.mark.parametrize(
    "text", ["colour eq 'red'", "name ne 'x'", "name eq x", "name eq 'x' or name eq 'y'", "name eq 'x' and "]
)
def test_a_filter_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is not understood"):
        resource_filter(text)


def test_a_resource_shows_no_properties_but_its_state_and_times() -> None:
    shown = as_resource(BODY)
    assert (shown["provisioningState"], shown["createdTime"], shown["changedTime"]) == ("Succeeded", "t0", "t1")
    assert "properties" not in shown
