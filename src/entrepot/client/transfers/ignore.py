"""Which files of a folder are uploaded: all but those that `.amlignore`, or else `.gitignore`, at its root names.

The patterns are git's: the last that matches counts, and nothing below an ignored folder comes back.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from entrepot.client.failures import FileFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

IGNORE_FILES = (".amlignore", ".gitignore")


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to upload: its path in the upload, and where and what it is here."""

    path: str
    place: Path
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    is_executable: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of an ignore file."""

    pattern: re.Pattern[str]
    is_negated: bool
    is_for_folders: bool


def local_files(path: Path, *, ignore: bool = True) -> list[LocalFile]:
    """Return the files of a folder, or the one file, by path. Raises FileFailure for what cannot be uploaded.

    Symbolic links are followed inside the folder only.
    """
    if path.is_file():
        place = path.resolve()
        return [_local_file(path.name or place.name, place)]
    if not path.is_dir():
        raise FileFailure(f"{path} does not exist.")
    root = path.resolve()
    return list(_walk(root, root, "", read_rules(root) if ignore else [], ()))


def read_rules(folder: Path) -> list[Rule]:
    """Return the rules of the ignore file at a folder's root, none when there is no such file."""
    for name in IGNORE_FILES:
        file = folder / name
        if file.is_file():
            return [rule for line in file.read_text(errors="replace").splitlines() if (rule := parse_rule(line))]
    return []


def parse_rule(line: str) -> Rule | None:
    """Read one line of an ignore file; None for blanks and comments."""
    text = re.sub(r"(?<!\\)\s+\Z", "", line)
    if not text or text.startswith("#"):
        return None
    is_negated = text.startswith("!")
    text = text[1:] if is_negated else text
    is_for_folders = text.endswith("/")
    text = text.rstrip("/")
    if not text:
        return None
    is_anchored = "/" in text
    body = _translate(text.lstrip("/"))
    return Rule(re.compile(body if is_anchored else f"(?:.*/)?{body}", re.DOTALL), is_negated, is_for_folders)


def is_ignored(rules: list[Rule], path: str, *, is_folder: bool) -> bool:
    """Say whether the rules leave out a path, whose folders are known to be in."""
    for rule in reversed(rules):
        if (is_folder or not rule.is_for_folders) and rule.pattern.fullmatch(path):
            return not rule.is_negated
    return False


def _translate(pattern: str) -> str:
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        if pattern.startswith("**/", at) and (at == 0 or pattern[at - 1] == "/"):
            parts.append("(?:.*/)?")
            at += 3
        elif pattern.startswith("**", at) and at + 2 == len(pattern) and (at == 0 or pattern[at - 1] == "/"):
            parts.append(".*")
            at += 2
        elif pattern[at] == "*":
            parts.append("[^/]*")
            at += 1
        elif pattern[at] == "?":
            parts.append("[^/]")
            at += 1
        elif pattern[at] == "[" and (end := pattern.find("]", at + 2)) > 0:
            inner = pattern[at + 1 : end].replace("\\", r"\\").replace("[", r"\[")
            parts.append(f"[^{inner[1:]}]" if inner[0] in "!^" else f"[{inner}]")
            at = end + 1
        else:
            at += 1 if pattern[at] == "\\" and at + 1 < len(pattern) else 0
            parts.append(re.escape(pattern[at]))
            at += 1
    return "".join(parts)


def _walk(root: Path, folder: Path, base: str, rules: list[Rule], above: tuple[Path, ...]) -> Iterator[LocalFile]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = base + entry.name
        place = Path(entry.path)
        is_folder = entry.is_dir()
        if is_ignored(rules, path, is_folder=is_folder):
            continue
        if entry.is_symlink():
            place = place.resolve()
            if not place.is_relative_to(root):
                raise FileFailure(
                    f"{entry.path} is a symbolic link that leads out of the folder, to {place}.",
                    hint=f"put a copy in its place, or a line {path} into .amlignore",
                )
        if not is_folder:
            yield _local_file(path, place)
        elif place in (*above, folder):
            raise FileFailure(f"{entry.path} is a symbolic link to a folder that it lies in.")
        else:
            yield from _walk(root, place, f"{path}/", rules, (*above, folder))


def _local_file(path: str, place: Path) -> LocalFile:
    try:
        status = place.stat()
        path.encode()
    except FileNotFoundError as error:
        raise FileFailure(f"{place} is a symbolic link that leads nowhere, or was removed meanwhile.") from error
    except UnicodeEncodeError as error:
        raise FileFailure(f"the file name {os.fsencode(path)!r} is not UTF-8.") from error
    if not stat.S_ISREG(status.st_mode):
        raise FileFailure(f"{place} is neither a file nor a folder.")
    is_executable = bool(status.st_mode & stat.S_IXUSR)
    return LocalFile(path, place, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, is_executable)
