"""Following a job until it ends: its log as it grows, and for a pipeline what becomes of each step."""

from __future__ import annotations

import time

from entrepot.client import jobs
from entrepot.client.connection import quote
from entrepot.client.failures import Failure, NoServer
from entrepot.client.patience import LIMIT_S, Patience

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from entrepot.client.scopes import Target
    from entrepot.client.session import Session

    Json = Any

STD_LOG = "user_logs/std_log.txt"
TERMINAL = ("Completed", "Failed", "Canceled")
LONG_POLL_S = 10
FASTEST_S, SLOWEST_S = 0.1, 1.0
LAST_LINES = 20
SYMBOLS = {"Completed": "done", "Failed": "FAILED", "Canceled": "canceled"}


class JobFailed(Failure):
    """The job that was followed did not complete."""


def follow(
    session: Session,
    target: Target,
    name: str,
    *,
    write: Callable[[str], None],
    told: Callable[[str], None],
    limit_s: float = LIMIT_S,
) -> Json:
    """Write a job's story until it ends; return the job. Raises JobFailed when it did not complete.

    A server that is restarted meanwhile is waited for, up to `limit_s`; `told` hears of it. Raises NoServer.
    """
    job = jobs.get(session, target, name)
    session.patience = Patience(told=told, limit_s=limit_s)
    try:
        return _followed(session, target, job, write)
    except NoServer as failure:
        again = f"{failure.hint}; entrepot ml job stream -n {name} follows the job again" if failure.hint else ""
        raise NoServer(failure.message, hint=again) from failure
    finally:
        session.patience = None


def _followed(session: Session, target: Target, job: Json, write: Callable[[str], None]) -> Json:
    name = job["name"]
    write(f"RunId: {name}\nWeb View: {_page(session, job)}\n")
    if str(job["properties"].get("jobType")).lower() == "pipeline":
        job = _follow_pipeline(session, target, name, write)
    else:
        job = _follow_log(session, target, name, write)
    write(f"\nExecution Summary\n=================\nRunId: {name}\nWeb View: {_page(session, job)}\n")
    status = job["properties"]["status"]
    if status != "Completed":
        raise JobFailed(_ending(session, target, job), hint=f"entrepot ml job show -n {name}")
    return job


def _page(session: Session, job: Mapping[str, Json]) -> str:
    studio = (job["properties"].get("services") or {}).get("Studio") or {}
    return str(studio.get("endpoint") or session.url)


def _follow_log(session: Session, target: Target, name: str, write: Callable[[str], None]) -> Json:
    offset, is_titled, last = 0, False, ""
    while True:
        window = _window(session, target, name, offset, LONG_POLL_S)
        if window["text"]:
            if not is_titled:
                write(f"\nStreaming {STD_LOG}\n{'=' * (len(STD_LOG) + 10)}\n\n")
                is_titled = True
            write(window["text"])
        offset = window["offset"]
        status = window["status"]
        if status in TERMINAL and not window["text"]:
            return jobs.get(session, target, name)
        if status != last and not is_titled and status not in TERMINAL:
            write(f"{status}{_why(session, target, name)}\n")
        last = status


def _why(session: Session, target: Target, name: str) -> str:
    """Return what a job that does not run yet is waiting for."""
    message = (jobs.get(session, target, name).get("entrepot") or {}).get("statusMessage")
    return f": {message}" if message else ""


def _window(session: Session, target: Target, name: str, offset: int, wait_s: int) -> Json:
    query = f"name={quote(STD_LOG)}&offset={offset}&waitSeconds={wait_s}"
    return session.get(f"{jobs.address(target, name)}/logs?{query}")


def _follow_pipeline(session: Session, target: Target, name: str, write: Callable[[str], None]) -> Json:
    known: dict[str, str] = {}
    pause = FASTEST_S
    write("\n")
    while True:
        job = jobs.get(session, target, name)
        has_news = _report(session, target, name, "", known, write)
        if job["properties"]["status"] in TERMINAL:
            return job
        pause = FASTEST_S if has_news else min(pause * 1.5, SLOWEST_S)
        time.sleep(pause)


def _report(
    session: Session, target: Target, name: str, prefix: str, known: dict[str, str], write: Callable[[str], None]
) -> bool:
    """Write what changed below a pipeline since last time; say whether anything did.

    A nested pipeline is told of before its steps when it starts, and after them when it ends.
    """
    has_news = False
    for child in sorted(jobs.children(session, target, name), key=_started):
        properties, ours = child["properties"], child.get("entrepot") or {}
        status, label = properties["status"], prefix + str(ours.get("node") or properties.get("displayName"))
        state = f"{status} {ours.get('statusMessage') or ''}"
        is_new = known.get(child["name"]) != state and status != "NotStarted"
        known[child["name"]] = state
        line = f"{_clock()}  {label}: {_state_line(child)}\n" if is_new else ""
        if status not in TERMINAL:
            write(line)
        if str(properties.get("jobType")).lower() == "pipeline":
            if is_new or status not in TERMINAL:
                has_news = _report(session, target, child["name"], f"{label}/", known, write) or has_news
        elif is_new and status == "Failed":
            line += _indented(_last_lines(session, target, child["name"]))
        if status in TERMINAL:
            write(line)
        has_news = has_news or is_new
    return has_news


def _state_line(child: Mapping[str, Json]) -> str:
    ours, status = child.get("entrepot") or {}, child["properties"]["status"]
    message = str(ours.get("statusMessage") or "")
    if status not in TERMINAL:
        return f"{status.lower()}{': ' + message if message else ''} ({child['name']})"
    reuse = ours.get("reuse") or {}
    if status == "Completed" and (reuse.get("reused") or reuse.get("is_reused")):
        return "done, reused"
    passed = _duration(ours.get("startTime"), ours.get("endTime"))
    return SYMBOLS[status] + (f" after {passed}" if passed else "") + (f": {message}" if message else "")


def _ending(session: Session, target: Target, job: Mapping[str, Json]) -> str:
    """Return the message of a job that did not complete: its error, and a failing command's last lines."""
    name, properties = job["name"], job["properties"]
    if properties["status"] == "Canceled":
        return f"Job {name} was canceled."
    error = properties.get("error") or (job.get("entrepot") or {}).get("error") or {}
    message = str(error.get("message") or "it tells no reason")
    lines = ""
    if str(properties.get("jobType")).lower() != "pipeline":
        lines = _last_lines(session, target, name, without=message)
    tail = "" if not lines or lines.strip() in message else f"\nIts last lines:\n{_indented(lines)}".rstrip()
    what, _, quoted = message.partition("\n")
    shown = f"\n{_indented(quoted)}".rstrip() if quoted else ""
    return f"Job {name} failed: {what}{shown}{tail}"


def _last_lines(session: Session, target: Target, name: str, *, without: str = "") -> str:
    """Return the last lines of a log, but those that hold what is told already."""
    lines = str(_window(session, target, name, 0, 0)["text"]).rstrip().splitlines()
    shown = [line for line in lines[-LAST_LINES:] if not without or without not in line]
    return "\n".join(shown) + "\n" if shown else ""


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def _started(child: Mapping[str, Json]) -> str:
    ours = child.get("entrepot") or {}
    return str(ours.get("startTime") or "~")


def _clock() -> str:
    return time.strftime("%H:%M:%S")


def _duration(start: str | None, end: str | None) -> str:
    if not start or not end:
        return ""
    from entrepot.core.clock import from_iso

    passed = max(0.0, from_iso(end) - from_iso(start))
    return f"{passed:.1f} s" if passed < 120 else f"{passed / 60:.1f} min"
