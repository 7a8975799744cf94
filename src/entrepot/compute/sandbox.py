"""What a launch can see: the arguments of bubblewrap, and whether it works on this machine.

Read-only system folders, the interpreter and its environment, the launch's mounts, and private /tmp, /dev, /proc and
process ids; nothing else of the machine's files. The network stays: tracking is reached over loopback.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from entrepot.compute.backend import Launch, Mount
from entrepot.core.digests import digest_json

WRAPPER_DEPTH = 2  # bwrap itself and the init it puts into the process namespace
_MERGED = ("bin", "sbin", "lib", "lib64", "lib32", "libx32")
_ETC = (
    "alternatives", "ca-certificates", "ca-certificates.conf", "fonts", "group", "host.conf", "hosts", "ld.so.cache",
    "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types", "nsswitch.conf", "os-release", "passwd", "pki",
    "protocols", "resolv.conf", "services", "ssl", "timezone",
)  # fmt: skip


def find_bwrap() -> tuple[Path | None, str]:
    """Return (path of a bwrap that works, "") or (None, why not), by running it once."""
    found = shutil.which("bwrap")
    if found is None:
        return None, "bwrap is not installed"
    command = [found, *_namespaces(), *_system(None), "--", "/bin/true"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, env={})
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"bwrap does not run: {error}"
    if done.returncode != 0:
        return None, f"bwrap is refused: {done.stderr.strip()}"
    return Path(found), ""


def minimal_etc(cache: Path) -> Path:
    """Return a folder with copies of what programs need of /etc, made anew when one of them has changed.

    One mount instead of twenty: each costs bwrap a reading of all mounts. Keys and password hashes stay out.
    """
    sources = [path for name in _ETC if (path := Path("/etc") / name).exists()]
    stats = [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in sources]
    target = cache / digest_json(stats)[:16]
    if target.exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=cache))
    new.chmod(0o755)
    for path in sources:
        with suppress(OSError, shutil.Error):  # what this user may not read, a launch need not
            if path.is_dir():
                private = shutil.ignore_patterns("private", "*.key")
                shutil.copytree(path, new / path.name, symlinks=True, ignore=private)
            else:
                shutil.copy2(path, new / path.name, follow_symlinks=path.name == "resolv.conf")
    try:
        new.rename(target)
    except OSError:  # another thread or process was faster
        shutil.rmtree(new, ignore_errors=True)
    return target


def bwrap_arguments(launch: Launch, environment: Mapping[str, str], *, scratch: Path, etc: Path) -> list[str]:
    """Return what goes into `bwrap --args`: the launch's whole view of the machine and its environment variables."""
    arguments = [*_namespaces(), *_system(etc), "--bind", str(scratch), "/tmp", "--symlink", "../tmp", "/var/tmp"]  # noqa: S108
    for folder in _environment_folders(launch):
        arguments += ["--ro-bind", str(folder), str(folder)]
    for mount in sorted(visible(launch), key=lambda mount: len(mount.path.parts)):  # outer folders first
        arguments += ["--bind" if mount.is_writable else "--ro-bind", str(mount.path), str(mount.path)]
    arguments += ["--chdir", str(launch.cwd), "--clearenv"]
    for name, value in environment.items():
        arguments += ["--setenv", name, value]
    return arguments


def tool_command(
    bwrap: Path,
    command: Sequence[str],
    *,
    readable: Sequence[Path],
    writable: Sequence[Path],
    cwd: Path,
    etc: Path,
    protected: Sequence[Path] = (),
) -> list[str]:
    """Return the command of a tool of ours in a sandbox that ends with the calling thread; variables are inherited.

    What is `protected` lies in what is writable, and can be neither written to nor replaced.
    """
    arguments = [str(bwrap), *_namespaces(), *_system(etc), "--tmpfs", "/tmp"]  # noqa: S108
    for path in sorted(dict.fromkeys(readable), key=lambda path: len(path.parts)):
        if not path.is_relative_to("/usr"):
            arguments += ["--ro-bind", str(path), str(path)]
    for path in writable:
        arguments += ["--bind", str(path), str(path)]
    for path in protected:
        arguments += ["--ro-bind-try", str(path), str(path)]
    return [*arguments, "--chdir", str(cwd), "--", *command]


def visible(launch: Launch) -> tuple[Mount, ...]:
    """Return the launch's mounts and, unless one of them covers it, its working folder (writable)."""
    if any(launch.cwd == mount.path or mount.path in launch.cwd.parents for mount in launch.mounts):
        return launch.mounts
    return (*launch.mounts, Mount(launch.cwd, is_writable=True))


def _namespaces() -> list[str]:
    arguments = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent", "--hostname", "entrepot"]
    if os.geteuid() == 0:
        arguments += ["--cap-drop", "ALL"]
    return arguments


def _system(etc: Path | None) -> list[str]:
    arguments = ["--ro-bind", "/usr", "/usr", "--ro-bind-try", "/nix/store", "/nix/store"]
    for name in _MERGED:
        path = Path("/") / name
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), str(path)]
        elif path.exists():
            arguments += ["--ro-bind", str(path), str(path)]
    if etc is not None:
        arguments += ["--ro-bind", str(etc), "/etc"]
    cpus = "/sys/devices/system/cpu"  # joblib and friends count processors here
    return [
        *arguments,
        "--ro-bind-try",
        cpus,
        cpus,
        "--proc",
        "/proc",
        "--ro-bind",  # by uid alone, and without a capability, root may write to the kernel's settings
        "/proc/sys",
        "/proc/sys",
        "--dev",
        "/dev",
        "--dir",
        "/run",
        "--dir",
        "/var",
    ]


def _environment_folders(launch: Launch) -> list[Path]:
    """Return the environment's folder and the one of the interpreter that it stands on."""
    if launch.prepared is None:
        return []
    python = launch.prepared.base or launch.prepared.python.resolve()
    folders = [launch.prepared.bin_path.parent, python.parent.parent]
    folders += [launch.layer] if launch.layer else []
    return [folder for folder in dict.fromkeys(folders) if not folder.is_relative_to("/usr")]
