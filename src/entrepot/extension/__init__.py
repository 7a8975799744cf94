"""The `ml` extension of the genuine `az`: hands `az ml ...` to our command line, signed in as `az` is.

This folder becomes `azext_ml` in the wheel that `server/mirror/wheel.py` makes, with core, client and cli below
`vendored`; nothing of ours imports it. It runs on the interpreter of az, which has the libraries that they need.
"""

import os
import sys
from typing import Any

from azure.cli.core import AzCommandsLoader
from azure.cli.core.commands import CliCommandType
from azure.cli.core.commands.events import EVENT_INVOKER_PRE_CMD_TBL_TRUNCATE

_VENDORED = os.path.join(os.path.dirname(__file__), "vendored")


class MlCommandsLoader(AzCommandsLoader):  # type: ignore[misc]
    """Declares the commands, for az's help and its completion, and carries them out before az parses the line."""

    def load_command_table(self, args: list[str]) -> Any:
        """Name the commands and wait until az has put them into its index, which makes the next start quick."""
        if sys.path[:1] != [_VENDORED]:
            sys.path.insert(0, _VENDORED)
        from . import declared

        with self.command_group("", CliCommandType(operations_tmpl=f"{__name__}.declared#{{}}")) as group:
            for name in declared.commands():
                group.command(name, "carried_out")
        self.cli_ctx.register_event(EVENT_INVOKER_PRE_CMD_TBL_TRUNCATE, _take_over)
        return self.command_table

    def load_arguments(self, command: str) -> None:
        """Name the options of a command that is being completed."""
        from . import declared

        with self.argument_context(command) as context:
            for attribute, names, is_flag in declared.options(command):
                context.extra(attribute, options_list=names, action="store_true" if is_flag else "store")  # noqa: S610 - no Django


def _take_over(cli_ctx: Any, args: list[str] | None = None, **_: object) -> None:
    """Carry out `ml ...` and end the process with its exit code; other lines go on in az."""
    if not args or args[0] != "ml" or cli_ctx.data["completer_active"]:
        return
    from entrepot.cli.main import main

    from .signing import host_of

    sys.exit(main(args, host_of(cli_ctx)))


COMMAND_LOADER_CLS = MlCommandsLoader
