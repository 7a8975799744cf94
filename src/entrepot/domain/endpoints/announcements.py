"""Telling the gateways that something changed, in the commit that changes it.

A gateway polls one document's revision (0.01 ms) and reads the endpoints again when it moved; the states of
deployments follow by a work item. Neither needs to know who wrote.
"""

from entrepot.store.documents import Change, Enqueue, Put

EPOCH_KEY = "gateways/epoch"
"""The document whose revision moves with every change that a gateway has to follow."""

QUEUE = "deployments"
"""Work items by which deployments move from Creating to Succeeded or Failed; key: the deployment's document key."""


REPLICAS_QUEUE = "replicas"
"""Work items that make a deployment's replicas what its document wants; `replicas/` handles them."""


def gateways_changed(key: str) -> Put:
    """Return the change that has every gateway read the endpoints again; `key` tells people what changed last."""
    return Put(EPOCH_KEY, {"changed": key})


def deployment_changed(key: str, *, due: float = 0) -> Enqueue:
    """Return the change that has a deployment's state looked at. `due` in epoch seconds, 0: at once."""
    return Enqueue(QUEUE, key, {"key": key}, due=due)


def replicas_changed(key: str) -> list[Change]:
    """Return what a commit that writes or deletes replicas of the deployment with this key must also hold."""
    return [gateways_changed(key), deployment_changed(key)]


def replicas_wanted(key: str) -> Enqueue:
    """Return the change that has the replicas of a deployment made what its document wants."""
    return Enqueue(REPLICAS_QUEUE, key, {"key": key})
