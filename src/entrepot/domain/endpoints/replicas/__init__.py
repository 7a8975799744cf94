"""Replicas: the processes that serve a deployment, kept as many and as new as its document wants them.

`Attendant` is the handler of the queue `replicas`; `status` and `logs` tell how it stands.
"""

from entrepot.domain.endpoints.announcements import REPLICAS_QUEUE as QUEUE
from entrepot.domain.endpoints.replicas.attendant import Attendant
from entrepot.domain.endpoints.replicas.logs import logs
from entrepot.domain.endpoints.replicas.records import Summary, status

__all__ = ["QUEUE", "Attendant", "Summary", "logs", "status"]
