"""Signing in and the directory: the authority, managed identities, and what Microsoft Graph would answer."""

from entrepot.server.routes.identity import authority, browser, graph, home, managed, outside, proofs
from entrepot.server.routing import Route

ROUTES: tuple[Route, ...] = (
    *managed.ROUTES,
    *authority.ROUTES,
    *home.ROUTES,
    *browser.ROUTES,
    *outside.ROUTES,
    *graph.ROUTES,
    *proofs.ROUTES,
)
