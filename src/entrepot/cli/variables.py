"""The environment variables that point unchanged Azure and MLflow clients at the server of a home, for any shell."""

from __future__ import annotations

import json
import os
import ssl

from entrepot.client.connection import quote
from entrepot.client.failures import NoServer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from entrepot.client.session import Session

FORMS = ("sh", "fish", "powershell", "json")
UNSET = ("AZUREML_CURRENT_CLOUD",)
"""What azure-ai-ml would believe more than the address of our cloud."""

FOR_AZ = (
    "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "REQUESTS_CA_BUNDLE", "AZURE_CORE_INSTANCE_DISCOVERY", "NO_PROXY",
    "no_proxy",
)  # fmt: skip
UNSET_FOR_AZ = (*UNSET, "ARM_CLOUD_METADATA_URL")
"""With this one, az knows no other cloud than ours, registers none, and forgets ours in a shell without it."""

TRACKING_AUDIENCE = "https://ml.azure.com"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def variables(session: Session, home: str, *, group: str = "", workspace: str = "") -> dict[str, str]:
    """Return {name: value}; MLFLOW_TRACKING_URI only when a workspace is given. Raises NoServer."""
    secret, base = _secret(home), session.run["https_url"]
    identity = f"/msi/token?api-version=2019-08-01&resource={quote(TRACKING_AUDIENCE)}"
    answer = session.request("GET", identity, headers={"X-IDENTITY-HEADER": secret})
    bundle = _bundle(home, session.run["authority"])
    found = {
        "ARM_CLOUD_METADATA_URL": _metadata(session.run["url"], base),
        "REGISTRY_DISCOVERY_ENDPOINT_URL": f"{base}/",
        "IDENTITY_ENDPOINT": f"{base}/msi/token",
        "IDENTITY_HEADER": secret,
        "REQUESTS_CA_BUNDLE": bundle,
        "SSL_CERT_FILE": bundle,
        "AZURE_CORE_INSTANCE_DISCOVERY": "no",  # az would ask login.microsoftonline.com whether ours is an authority
        "MLFLOW_TRACKING_TOKEN": json.loads(answer.body)["access_token"],
    }
    if workspace:
        place = f"/subscriptions/{session.subscription}/resourceGroups/{quote(group)}"
        place += f"/providers/Microsoft.MachineLearningServices/workspaces/{quote(workspace)}"
        found["MLFLOW_TRACKING_URI"] = f"{base}/mlflow/v2.0{place}"
    return found | _past_proxies(base)


def _metadata(plain: str, base: str) -> str:
    """Return where the cloud's addresses are read: over plain HTTP if both ends are this machine.

    azure-ai-ml 1.35 asks again for each file that it downloads, and reading all authorities for HTTPS takes it 30 ms
    each time. Of the clouds that are told it takes the one whose resource manager stands in the address.
    """
    origin = plain if _host(base) in LOOPBACK else base
    return f"{origin}/metadata/endpoints?api-version=2019-05-01&resourceManager={base}"


def render(values: Mapping[str, str], form: str, *, unset: tuple[str, ...] = UNSET) -> str:
    """Return the text that sets the variables in a shell of FORMS, however odd the values are."""
    if form == "json":
        return json.dumps(values, indent=2) + "\n"
    if form == "fish":
        lines = [f"set -gx {name} {_fish(value)};" for name, value in values.items()]
        lines += [f"set -e {name};" for name in unset]
    elif form == "powershell":
        lines = ["$env:{} = '{}'".format(name, value.replace("'", "''")) for name, value in values.items()]
        lines += [f"Remove-Item Env:{name} -ErrorAction SilentlyContinue" for name in unset]
    else:
        import shlex

        lines = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
        lines += [f"unset {name}" for name in unset]
    return "".join(f"{line}\n" for line in lines)


def _fish(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _secret(home: str) -> str:
    try:
        with open(f"{home}/run/identity", encoding="ascii") as file:
            return file.read().strip()
    except OSError as error:
        raise NoServer(f"No Entrepot server runs with the home {home}.", hint="entrepot up") from error


def _bundle(home: str, authority: str) -> str:
    """Write and return a file of all authorities: those trusted so far and ours.

    The variables replace what clients trust, and a script may well talk to other places too.
    """
    path = f"{home}/tls/bundle.pem"
    candidates = (os.environ.get("REQUESTS_CA_BUNDLE"), os.environ.get("SSL_CERT_FILE"))
    usual = ssl.get_default_verify_paths()
    before = next(
        (
            name
            for name in (*candidates, usual.cafile, "/etc/ssl/certs/ca-certificates.crt")
            if name and name not in (path, authority) and os.path.isfile(name)
        ),
        "",
    )
    parts = []
    for name in (before, authority):
        if name:
            with open(name, "rb") as file:
                parts.append(file.read())
    content = b"\n".join(parts)
    if not _holds(path, content):
        draft = f"{path}.{os.getpid()}"
        with open(draft, "wb") as file:
            file.write(content)
        os.replace(draft, path)
    return path


def _holds(path: str, content: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read() == content
    except OSError:
        return False


def _past_proxies(base: str) -> dict[str, str]:
    """Return the variables that keep a proxy from seeing the requests to this machine."""
    host = _host(base)
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = [part for part in known.split(",") if part]
    wanted = LOOPBACK if host in LOOPBACK else (host,)
    value = ",".join([*hosts, *(name for name in wanted if name not in hosts)])
    return {"NO_PROXY": value, "no_proxy": value}


def _host(base: str) -> str:
    return base.partition("://")[2].rpartition(":")[0].strip("[]")
