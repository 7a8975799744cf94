"""All versions of all templates of a registry, in one list: what Azure's clients ask for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from entrepot.core.ids import RegistryScope
from entrepot.core.nouns import DEPLOYMENT_TEMPLATE
from entrepot.domain.assets import reading
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Document, View


@dataclass(frozen=True, slots=True)
class Asked:
    """What a list is about. `name` '' is all names; `tags`: {name: value or None for any}."""

    name: str = ""
    view: View = View.ACTIVE
    tags: Mapping[str, str | None] | None = None


def page(
    hub: Hub, principal: Principal, scope: RegistryScope, asked: Asked, *, after: str | None, most: int | None
) -> tuple[list[Document], str | None]:
    """Return versions, newest first within each name, and where the next page begins.

    A page holds whole names; `most` versions at the most make the only page. Raises NotFound for the registry.
    """
    if asked.name or most is not None:
        names = iter([asked.name]) if asked.name else _all_names(hub, principal, scope)
        found = (document for name in names for document in _versions(hub, principal, scope, asked, name))
        return list(islice(found, most)), None
    names_page = reading.containers(hub, principal, scope, DEPLOYMENT_TEMPLATE, view=View.ALL, after=after)
    found = (
        document
        for container in names_page.documents
        for document in _versions(hub, principal, scope, asked, container.body["name"])
    )
    return list(found), names_page.next


def _all_names(hub: Hub, principal: Principal, scope: RegistryScope) -> Iterator[str]:
    after: str | None = None
    while True:
        found = reading.containers(hub, principal, scope, DEPLOYMENT_TEMPLATE, view=View.ALL, after=after)
        yield from (document.body["name"] for document in found.documents)
        after = found.next
        if after is None:
            return


def _versions(hub: Hub, principal: Principal, scope: RegistryScope, asked: Asked, name: str) -> Iterator[Document]:
    after: str | None = None
    while True:
        found = reading.versions(
            hub, principal, scope, DEPLOYMENT_TEMPLATE, name, view=asked.view, tags=asked.tags, after=after
        )
        yield from found.documents
        after = found.next
        if after is None:
            return
