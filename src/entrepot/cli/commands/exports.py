"""`env` and `run`: unchanged scripts of Azure's and MLflow's clients work with the home's server."""

from __future__ import annotations

import os
import sys

from entrepot.cli import variables
from entrepot.client.failures import NoCommand, UsageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from entrepot.cli.call import Call


def env(call: Call) -> None:
    """Print the variables for a shell to evaluate."""
    form = (call.text("format") or "sh").lower()
    if form not in variables.FORMS:
        raise UsageFailure(f"argument --format: {form!r} is none of {', '.join(variables.FORMS)}")
    values = _variables(call)
    unset: tuple[str, ...] = variables.UNSET
    if call.flag("az"):
        values, unset = {name: values[name] for name in variables.FOR_AZ}, variables.UNSET_FOR_AZ
    sys.stdout.write(variables.render(values, form, unset=unset))


def run(call: Call) -> None:
    """Become the command behind `--`: its output, its signals and its exit code are the command's own."""
    words = call.words("command")
    if not words:
        raise UsageFailure("Write the command behind two dashes.", hint="entrepot run -- python train.py")
    environment = {**os.environ, **_variables(call)}
    for name in variables.UNSET:
        environment.pop(name, None)
    call.close()
    sys.stdout.flush()
    try:
        os.execvpe(words[0], words, environment)  # noqa: S606 - a user's own command, without a shell
    except OSError as error:
        raise NoCommand(f"{words[0]!r} cannot be run: {error.strerror}") from error


def _variables(call: Call) -> dict[str, str]:
    group, workspace = call.text("resource_group"), call.text("workspace_name")
    if workspace and not group:
        raise UsageFailure("A workspace is in a group.", hint="entrepot configure --defaults group=GROUP")
    return variables.variables(call.session, call.home, group=group or "", workspace=workspace or "")
