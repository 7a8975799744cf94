"""The kinds' rules as one table: to add a kind, add a module and a row here."""

from collections.abc import Mapping

from entrepot.core.nouns import CODE, COMPONENT, DATA, DEPLOYMENT_TEMPLATE, ENVIRONMENT, MODEL, Kind
from entrepot.domain.assets import code, component, data, environment, model
from entrepot.domain.assets.kind import Rules
from entrepot.domain.assets.templates import template

_RULES: Mapping[Kind, Rules] = {
    MODEL: model.RULES,
    ENVIRONMENT: environment.RULES,
    COMPONENT: component.RULES,
    DATA: data.RULES,
    CODE: code.RULES,
    DEPLOYMENT_TEMPLATE: template.RULES,
}


def rules_of(kind: Kind) -> Rules:
    """Return the rules of a kind."""
    return _RULES[kind]
