"""The thread that writes the audit trail's notes and seals its entries, beside everything else."""

import logging
import threading

from entrepot.domain.audit import sealing
from entrepot.domain.audit.sealing import Notary
from entrepot.domain.hub import Hub

_NOTES_S = 0.25
_SEAL_EVERY = 4  # rounds

_log = logging.getLogger("entrepot.audit")


class Auditor:
    """Runs from `start` to `stop`; trouble with the database is told in the log and tried again."""

    def __init__(self, hub: Hub, notary: Notary) -> None:
        self._hub = hub
        self._notary = notary
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="auditor", daemon=True)

    @property
    def notary(self) -> Notary:
        """What seals, and tells seals from forgeries."""
        return self._notary

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Write and seal what there is, and end. Twice is no error."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        rounds = 0
        while not self._stopping.wait(_NOTES_S):
            rounds += 1
            self._round(seals=rounds % _SEAL_EVERY == 0)
        self._round(seals=True, is_last=True)

    def _round(self, *, seals: bool, is_last: bool = False) -> None:
        try:
            self._hub.notes.write(self._hub.documents, is_last=is_last)
            if seals:
                sealing.seal(self._hub, self._notary)
        except Exception:
            _log.exception("the audit trail could not be written or sealed; it is tried again")
