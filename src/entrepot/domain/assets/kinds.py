"""The five kinds' rules as one table: to add a kind, add a module and a row here."""

from collections.abc import Mapping

from entrepot.core.nouns import CODE, COMPONENT, DATA, ENVIRONMENT, MODEL, Kind
from entrepot.domain.assets import code, component, data, environment, model
from entrepot.domain.assets.kind import Rules

_RULES: Mapping[Kind, Rules] = {
    MODEL: model.RULES,
    ENVIRONMENT: environment.RULES,
    COMPONENT: component.RULES,
    DATA: data.RULES,
    CODE: code.RULES,
}


def rules_of(kind: Kind) -> Rules:
    """Return the rules of a kind."""
    return _RULES[kind]
