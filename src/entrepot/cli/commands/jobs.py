"""`ml job`: submit, follow, read, download, cancel."""

from __future__ import annotations

import sys

from entrepot.client import jobs
from entrepot.client.failures import Failure, ServiceFailure
from entrepot.client.shapes import job_views

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call
    from entrepot.client.files import Document
    from entrepot.client.publishing.content import Publisher

    Json = Any


def create(call: Call) -> Json:
    """Submit the job of a file."""
    from entrepot.client.publishing.jobs import create_job

    publisher, document, data = _checked(call)
    created = create_job(publisher, document, data)
    for warning in publisher.warnings:
        call.console.warn(warning)
    view = job_views.view(created)
    if path := call.text("save_as"):
        _save(path, view)
    _tell_page(call, view)
    if call.flag("stream"):
        from entrepot.client.streaming import follow

        view = job_views.view(
            follow(call.session, call.workspace(), view["name"], write=_write, told=call.console.warn)
        )
    return view


def validate(call: Call) -> Json:
    """Check a job's file as `create` would, without creating anything."""
    _checked(call)
    return {"result": "Succeeded"}


def _checked(call: Call) -> tuple[Publisher, Document, dict[str, Json]]:
    from entrepot.cli.commands.results import watched
    from entrepot.client import files, overrides
    from entrepot.client.publishing.content import Publisher
    from entrepot.client.publishing.jobs import schema_of
    from entrepot.client.schemas.checks import check

    document = files.load(call.file() or "")
    if call.text("name"):
        document.data["name"] = call.text("name")
    overrides.lay_over(document, call.words("set"))
    data, warnings = check(document, schema_of(document))
    for warning in warnings:
        call.console.warn(warning)
    publisher = Publisher(call.session, call.workspace(), lambda label: watched(call, label))
    return publisher, document, data


def _save(path: str, view: dict[str, Json]) -> None:
    from pathlib import Path

    from entrepot.client import files

    try:
        Path(path).write_text(files.dump(view), encoding="utf-8")
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}") from error


def show(call: Call) -> Json:
    """Return a job."""
    view = job_views.view(jobs.get(call.session, call.workspace(), str(call.text("name"))))
    _tell_page(call, view)
    return view


def list_(call: Call) -> Json:
    """Return the newest jobs, or the children of one."""
    from entrepot.cli.commands.results import cut

    items = jobs.listed(
        call.session,
        call.workspace(),
        parent=call.text("parent_job_name"),
        with_archived=call.flag("include_archived"),
        only_archived=call.flag("archived_only"),
    )
    return cut(call, items)


def stream(call: Call) -> None:
    """Write the log of a job until it ends. Ctrl-C stops the following, not the job."""
    from entrepot.client.streaming import follow

    name = str(call.text("name"))
    try:
        follow(call.session, call.workspace(), name, write=_write, told=call.console.warn)
    except KeyboardInterrupt:
        call.console.note(f"\nNo longer following; the job goes on. `entrepot ml job cancel -n {name}` would end it.")
        raise


def cancel(call: Call) -> None:
    """End a job; one that has ended stays as it is, and is told so."""
    target, name = call.workspace(), str(call.text("name"))
    status = jobs.get(call.session, target, name)["properties"]["status"]
    jobs.cancel(call.session, target, name)
    if status in job_views.TERMINAL:
        call.console.note(f"Job {name} had ended already: it is {status}.")


def archive(call: Call) -> None:
    """Hide a job from lists."""
    _hide(call, is_hidden=True)


def restore(call: Call) -> None:
    """Bring a hidden job back into lists."""
    _hide(call, is_hidden=False)


def _hide(call: Call, *, is_hidden: bool) -> None:
    target = call.workspace()
    document = jobs.get(call.session, target, str(call.text("name")))
    jobs.change(call.session, target, document, {"hidden": is_hidden})


def update(call: Call) -> Json:
    """Change display name, description, tags or properties."""
    import copy

    from entrepot.client import overrides

    target = call.workspace()
    document = jobs.get(call.session, target, str(call.text("name")))
    entity = copy.deepcopy(job_views.view(document))
    overrides.apply(entity, call.options.ordered, keeps_strings=call.flag("force_string"))
    return job_views.view(jobs.update(call.session, target, document, entity))


def download(call: Call) -> None:
    """Write the artifacts and logs of a job below `artifacts/`, a named output below `named-outputs/<name>`."""
    from pathlib import Path

    target, name = call.workspace(), str(call.text("name"))
    job = jobs.get(call.session, target, name)
    status = job["properties"]["status"]
    if status not in job_views.TERMINAL:
        raise Failure(f"Job {name} is {status}: its files can be downloaded when it has ended.")
    folder = Path(call.text("download_path") or ".")
    output = call.text("output_name")
    known = job["properties"].get("outputs") or {}
    if output and output not in (*known, "default", "artifacts", "logs"):
        raise Failure(f"Job {name} has no output {output!r}; it has {', '.join(known) or 'none'}.")
    if output and output in known:
        wanted = [(output, folder / "named-outputs" / output)]
    else:
        wanted = [(output if output == "logs" else "artifacts", folder / "artifacts")]  # the logs are artifacts, too
        if call.flag("all"):
            wanted += [(key, folder / "named-outputs" / key) for key in known]
    if not _fetch(call, name, wanted, is_strict=bool(output)):
        call.console.note(
            f"Job {name} has no files of its own; a pipeline's are those of its steps (job list --parent-job-name)"
        )


def _fetch(call: Call, name: str, wanted: Any, *, is_strict: bool) -> int:
    """Download what there is of the wanted, and return how many there were."""
    from entrepot.cli.commands.results import watched
    from entrepot.client.transfers.downloads import download as fetch

    count = 0
    for output, path in wanted:
        try:
            address, prefix = jobs.reading(call.session, call.workspace(), name, output)
        except ServiceFailure as failure:
            if failure.status != 404 or is_strict:
                raise
            continue  # a job need not have artifacts, nor made all its outputs when it failed
        with watched(call, f"Downloading {output}") as progress:
            fetch(address, prefix, path, progress=progress)
        call.console.note(f"Downloaded {output} to {path}")
        count += 1
    return count


def _tell_page(call: Call, view: dict[str, Json]) -> None:
    page = ((view.get("services") or {}).get("Studio") or {}).get("endpoint")
    if call.flag("web") and page:
        call.console.note(page)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
