"""A program that looks for what is not its own, and how to tell that it came to nothing."""

import os
from pathlib import Path

SECRETS = ("token-of-the-owner", "key-that-signs", "variable-of-another", "file-of-another")
SEARCH = """
import os, sys

HOME, OTHERS = sys.argv[1], sys.argv[2:]

def tell(path):
    try:
        with open(path, "rb") as file:
            print("READ", path, file.read(1 << 16))
    except OSError:
        pass

for inner in ("run/token", "keys/secrets.key", "entrepot.db", "entrepot.db-wal", "config.toml"):
    for root in (HOME, "/proc/1/root" + HOME, "/proc/self/root" + HOME, "/proc/1/cwd/" + HOME):
        tell(os.path.join(root, inner))
for pid in os.listdir("/proc"):
    if pid.isdigit() and pid != str(os.getpid()):
        for name in ("environ", "mem", "fd/0", "fd/3", "fd/4", "cwd/run/token", "root" + HOME + "/run/token"):
            if name != "mem":
                tell("/proc/%s/%s" % (pid, name))
for place in OTHERS:
    for folder, _, files in os.walk(place):
        for name in files:
            tell(os.path.join(folder, name))
    for target in (place, HOME, HOME + "/run", "/usr", "/etc", "/proc/sys/kernel", "/sys"):
        try:
            with open(os.path.join(target, "planted"), "w") as file:
                file.write("x")
        except OSError:
            pass
for folder, _, files in os.walk("/"):
    if folder.startswith(("/proc", "/sys", "/usr", "/dev")):
        continue
    if "token" in files or "secrets.key" in files or "entrepot.db" in files:
        print("FOUND", folder)
print("looked")
"""


def planted(home: Path) -> None:
    """Put what nobody but the server may read into its home."""
    for name, text in (("run/token", SECRETS[0]), ("keys/secrets.key", SECRETS[1])):
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text(text)


def gained(text: str, home: Path) -> list[str]:
    """Return what a search came to; what it wrote into its own /tmp, in its launch's folder, is no matter."""
    planted_at = [folder for folder, _, files in os.walk(home) if "planted" in files and "/launch" not in folder]
    planted_at += [folder for folder in ("/usr", "/etc", "/sys") if Path(folder, "planted").exists()]
    told = [line for line in text.splitlines() if line.startswith("FOUND") or any(word in line for word in SECRETS)]
    return [*planted_at, *told, *([] if "looked" in text else ["it did not look"])]
