"""How the server and what it serves are doing: for Prometheus, and as Azure Monitor tells it."""

from entrepot.server.routes.monitoring import insights, prometheus
from entrepot.server.routing import Route

ROUTES: tuple[Route, ...] = (*prometheus.ROUTES, *insights.ROUTES)
