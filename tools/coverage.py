"""Write docs/coverage.md: which calls of the genuine clients this server answers. `python -m tools.coverage`.

Each call is made, with the owner's token and an empty body, to a server of its own; what is not served is told so by
the server's own words. So the page says what is true, and shows that nothing ends in a failure of the server.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from entrepot.testing.live import LiveServer, live

TOP = Path(__file__).resolve().parents[1]
PAGE = TOP / "docs" / "coverage.md"
GROUP = "/subscriptions/s1/resourceGroups/rg"
PROVIDER = f"{GROUP}/providers/Microsoft.MachineLearningServices"
_REFUSAL = "not supported by this server"
_VALUES = {
    "subscriptionId": "s1", "resourceGroupName": "rg", "workspaceName": "dev", "registryName": "contoso",
    "location": "eastus", "version": "1",
}  # fmt: skip
_TITLES = {
    "arm_ml_service": "Azure Resource Manager (the client's `arm_ml_service`)",
    "azure_ai_assets_v2024_04_01": "Azure AI assets",
    "dataset_dataplane": "Data plane of data",
    "model_dataplane": "Data plane of models",
    "registry_discovery": "Registry discovery",
    "runhistory": "Run history",
    "workspace_dataplane": "Data plane of workspaces",
    "mlflow": "MLflow, below a workspace's tracking address",
}
_HEAD = """# Coverage
Which calls of azure-ai-ml's generated clients and of MLflow's protocol this server answers; made by
`python -m tools.coverage`, held to the truth by `tests/sdk/test_coverage.py`. Much of what a client's package knows is
asked by no command of it. What is not answered here is refused with a 4xx (MLflow: `NOT_IMPLEMENTED`) and the words
"not supported by this server".
"""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that a client may make."""

    family: str
    operation: str
    method: str
    template: str

    @property
    def path(self) -> str:
        """The path with values in it: names that are there for the scopes, one that is not for all else."""
        path = re.sub(r"\{(\w+)\}", lambda match: _VALUES.get(match[1], "nothing"), self.template)
        return f"/mlflow/v2.0{PROVIDER}/workspaces/dev{path}" if self.family == "mlflow" else path

    @property
    def noun(self) -> str:
        """What the call is about: the part of the path behind its scope."""
        parts = [part for part in self.template.split("/") if part and not part.startswith("{")]
        if self.family == "mlflow":
            return next(part for part in parts[2:] if part != "mlflow") if len(parts) > 2 else parts[-1]
        words = [part for part in parts if part not in ("genericasset", "subscriptions", "resourceGroups", "providers")]
        words = [word for word in words if not word.startswith("Microsoft.") and not re.fullmatch(r"v\d\.\d", word)]
        is_inner = len(words) > 1 and words[0] in ("workspaces", "registries", "locations")
        return "/".join(words[:2]) if is_inner else words[0] if words else "providers"

    @property
    def ends_a_scope(self) -> bool:
        """True when the call takes away what the others need."""
        return self.method == "DELETE" and self.template.endswith(("{workspaceName}", "{registryName}"))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a call."""

    call: Call
    status: int
    is_answered: bool


def calls(python: Path) -> list[Call]:
    """Return every call that the clients of an environment know."""
    script = str(Path(__file__).with_name("client_calls.py"))
    done = subprocess.run([str(python), script], capture_output=True, text=True, check=True, timeout=300)
    return [Call(*words) for words in json.loads(done.stdout)]


def asked(server: LiveServer, wanted: Iterable[Call]) -> list[Outcome]:
    """Make the calls, those last that take away what the others need."""
    assert server.call("PUT", f"{PROVIDER}/workspaces/dev", {"location": "eastus"}).status == 201
    assert server.call("PUT", f"{PROVIDER}/registries/contoso", {"location": "eastus"}).status == 201
    return [_asked(server, call) for call in sorted(wanted, key=lambda call: (call.ends_a_scope, call.path))]


def _asked(server: LiveServer, call: Call) -> Outcome:
    body: dict[str, object] | None = {} if call.method in ("POST", "PUT", "PATCH") else None
    reply = server.call(call.method, call.path, body)
    is_refused = reply.status >= 400 and _REFUSAL in reply.body.decode("utf-8", "replace")
    return Outcome(call, reply.status, not is_refused)


def page(outcomes: Sequence[Outcome]) -> str:
    """Render the page."""
    parts = [_HEAD]
    for family, title in _TITLES.items():
        mine = [outcome for outcome in outcomes if outcome.call.family == family]
        count = len({o.call.operation for o in mine if o.is_answered})
        parts.append(f"\n## {title}\n{count} of {len({o.call.operation for o in mine})} operations are answered.\n\n")
        parts.append("| of | answered | not answered |\n|---|---|---|\n")
        for noun in sorted({outcome.call.noun for outcome in mine}):
            there = {o.call.operation for o in mine if o.call.noun == noun and o.is_answered}
            absent = {o.call.operation for o in mine if o.call.noun == noun} - there
            parts.append(f"| `{noun}` | {', '.join(sorted(there))} | {', '.join(sorted(absent))} |\n")
    return "".join(parts)


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as folder, live(Path(folder) / "home") as server:
        outcomes = asked(server, calls(TOP / "build" / "sdk" / "bin" / "python"))
    PAGE.write_text(page(outcomes))
    failed = [outcome for outcome in outcomes if outcome.status == 500]
    for outcome in failed:
        sys.stderr.write(f"{outcome.status} {outcome.call.method} {outcome.call.path}\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
