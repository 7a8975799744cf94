"""Runs uv: which index it asks is the operator's own configuration, what it may see is bounded by the sandbox."""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from entrepot.compute.sandbox import minimal_etc, tool_command
from entrepot.core.errors import BuildFailed

_KEPT = ("HOME", "XDG_CONFIG_HOME", "NETRC", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_FROM_PIP = {"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_EXTRA_INDEX_URL": "UV_INDEX", "PIP_FIND_LINKS": "UV_FIND_LINKS"}
_LAST_LINES = 12
CACHE = "uv-cache"
TIMEOUT_S = 1800


@dataclass(frozen=True, slots=True)
class Uv:
    """One way to run uv: the folder that it may write to, the sandbox (None: none), the caller's environment."""

    root: Path
    bwrap: Path | None
    environ: Mapping[str, str]

    def run(self, *arguments: str, readable: Sequence[Path], writes: Path, log: Callable[[str], None]) -> None:
        """Run `uv <arguments>`, telling each line; raises BuildFailed with uv's own words.

        Packages that are built from source run here: besides uv's cache, they may write to the folder `writes` alone.
        """
        binary = Path(find_uv_bin())
        environment = uv_environment(self.environ, cache=self.root / CACHE)
        command = [str(binary), *arguments]
        if self.bwrap is not None:
            visible = [binary, *readable, *_local_sources(environment)]
            etc = minimal_etc(self.root / "etc")
            command = tool_command(
                self.bwrap, command, readable=visible, writable=[self.root], cwd=self.root, etc=etc,
                protected=_others(self.root, writes),
            )  # fmt: skip
        lines = _run(command, environment, cwd=self.root, log=log)
        if lines is not None:
            raise BuildFailed(_sentence(lines))


def uv_environment(environ: Mapping[str, str], *, cache: Path) -> dict[str, str]:
    """Return uv's variables: the caller's uv settings, pip's index settings where uv has none, no secrets besides."""
    kept = {name: environ[name] for name in _KEPT if name in environ}
    kept |= {name: value for name, value in environ.items() if name.lower() in _PROXIES}
    kept |= {name: value for name, value in environ.items() if name.startswith("UV_")}
    has_index = any(name in environ for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX"))
    for pip_name, uv_name in _FROM_PIP.items():
        if pip_name in environ and uv_name not in kept and not (has_index and uv_name != "UV_FIND_LINKS"):
            separator = "," if uv_name == "UV_FIND_LINKS" else " "
            kept[uv_name] = separator.join(environ[pip_name].split())
    if "PIP_CERT" in environ:
        kept.setdefault("SSL_CERT_FILE", environ["PIP_CERT"])
    return kept | {
        "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "NO_COLOR": "1", "UV_NO_PROGRESS": "1",
        "UV_CACHE_DIR": str(cache), "UV_LINK_MODE": "hardlink", "UV_PYTHON_DOWNLOADS": "never",
    }  # fmt: skip


def _others(root: Path, writes: Path) -> list[Path]:
    """Return what a run may not touch: all but the cache, which must lie in one mount with where it is linked to."""
    found = [place for place in root.iterdir() if place.name != CACHE and place != writes.parent]
    return [*found, *(place for place in writes.parent.iterdir() if place != writes)]


def _local_sources(environment: Mapping[str, str]) -> list[Path]:
    """Return the files and folders on this machine that uv's configuration names: local indexes, certificates."""
    names = (
        "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_CONFIG_FILE",
        "UV_CONSTRAINT", "UV_OVERRIDE", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "NETRC",
    )  # fmt: skip
    words = (word for name in names for word in re.split(r"[,\s]+", environment.get(name, "")))
    paths = [Path(word.rpartition("file://")[2]) for word in words if "file://" in word or word.startswith("/")]
    config = Path(environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME") or "/") / ".config")
    paths += [config / "uv", Path("/etc/uv"), Path(environment.get("HOME") or "/") / ".netrc"]
    return [path for path in paths if path.exists()]


def _run(
    command: Sequence[str], environment: Mapping[str, str], *, cwd: Path, log: Callable[[str], None]
) -> list[str] | None:
    """Run a command; return None when it succeeded, else its lines."""
    lines: list[str] = []
    with subprocess.Popen(
        command, env=dict(environment), cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        watchdog = threading.Timer(TIMEOUT_S, os.killpg, (process.pid, signal.SIGKILL))
        watchdog.daemon = True
        watchdog.start()
        try:
            for line in process.stdout:
                lines.append(line.rstrip())
                log(line.rstrip())
            code = process.wait()
        finally:
            watchdog.cancel()
    if code == -signal.SIGKILL:
        lines.append(f"error: uv was killed, perhaps after its {TIMEOUT_S} s were over")
    return lines if code else None


def _sentence(lines: Sequence[str]) -> str:
    """Return uv's complaint as one line: what follows its cross or `error:`, without its drawing characters."""
    start = next(
        (i for i, line in enumerate(lines) if re.match(r"\s*(×|error:)", line)), max(0, len(lines) - _LAST_LINES)
    )
    words = [re.sub(r"^[\s×╰├│─▶>]+", "", line) for line in lines[start:]]
    text = " ".join(word for word in words if word).removeprefix("error: ")
    return text[:1500] or "uv failed without a word"
