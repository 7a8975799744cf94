"""How our command line runs inside az: with az's sign-in, cloud, subscription and settings."""

import os
from typing import Any
from urllib.parse import urlsplit

from azure.cli.core._profile import Profile
from knack.util import CLIError

from entrepot.cli.configuration import Configuration
from entrepot.cli.host import Host
from entrepot.client.failures import Failure
from entrepot.client.session import Session

MICROSOFTS = (".azure.com", ".windows.net", ".azure.cn", ".usgovcloudapi.net", ".microsoft.com")
_SECTIONS = ("core", "defaults")


def host_of(cli_ctx: Any) -> Host:
    """Return az as the host of our command line."""
    folder = str(cli_ctx.config.config_dir)
    os.environ.setdefault("ENTREPOT_HOME", os.path.join(folder, "entrepot"))  # for caches; there is no server in it

    def configuration(home: str) -> Configuration:
        sections = {name: _section(cli_ctx, name) for name in _SECTIONS}
        return Configuration(folder, sections)

    def opened(home: str, subscription: str) -> Session:
        return _session(cli_ctx, subscription)

    return Host("az", configuration=configuration, opened=opened, is_expanded=True)


def _section(cli_ctx: Any, name: str) -> dict[str, str]:
    """Return a section as az sees it: the folder's settings before the user's."""
    return {item["name"].lower(): item["value"] for item in cli_ctx.config.items(name)}


def _session(cli_ctx: Any, subscription: str) -> Session:
    """Sign in to the server of the active cloud. Raises Failure when it is Microsoft's, or nobody is signed in."""
    url = cli_ctx.cloud.endpoints.resource_manager.rstrip("/")
    if (urlsplit(url).hostname or "").endswith(MICROSOFTS):
        raise Failure(
            f"The active cloud is {cli_ctx.cloud.name}, and this extension speaks to an Entrepot server.",
            hint="az cloud set -n Entrepot; `az extension remove -n ml` makes place for Azure's own extension",
        )
    profile = Profile(cli_ctx=cli_ctx)

    def token() -> str:
        (_, text, _), _, _ = profile.get_raw_token(subscription=subscription or None)
        return str(text)

    try:
        account = profile.get_subscription(subscription or None)
        return Session({"url": url}, token(), subscription=account["id"], renewed=token)
    except CLIError as error:
        raise Failure(str(error)) from error
