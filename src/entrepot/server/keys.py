"""Secrets in files that only their owner can read: made once, at first use, never printed."""

import contextlib
import os
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path

from entrepot.core.errors import InvalidRequest
from entrepot.domain.secrets.sealing import KeyFile, Sealer


def load_key(file: Path, *, size_bytes: int = 32) -> bytes:
    """Return the random key kept in `file`, making it first when there is none. Safe against a concurrent start."""
    return bytes.fromhex(_load(file, lambda: secrets.token_hex(size_bytes)))


def load_token(file: Path) -> str:
    """Return the bearer token kept in `file`, making it first when there is none."""
    return _load(file, lambda: secrets.token_urlsafe(32))


def load_keys(file: Path, *, given: str = "") -> tuple[bytes, ...]:
    """Return the keys that seal secrets, the newest first: those `given` as text, else those kept in `file`.

    The file gets a first key when there is none. Raises InvalidRequest for a given text that is no key.
    """
    text = given or _load(file, lambda: secrets.token_hex(32))
    try:
        keys = tuple(bytes.fromhex(word) for word in text.replace(",", " ").split())
    except ValueError:
        keys = ()
    if not keys or any(len(key) != 32 for key in keys):
        where = "ENTREPOT_SECRETS_KEY" if given else str(file)
        raise InvalidRequest(
            f"{where} does not hold keys of 64 hexadecimal digits, separated by commas, the newest first",
            hint="openssl rand -hex 32 makes one",
        )
    return keys


def open_sealer(file: Path, *, given: str = "") -> Sealer:
    """Return what seals with the keys `given` as text, which are changed elsewhere, or with those kept in `file`."""
    own = None if given else KeyFile(partial(add_key, file), partial(retire_keys, file))
    return Sealer(partial(load_keys, file, given=given), file=own)


def add_key(file: Path) -> None:
    """Make a new key the newest of a file's, and keep the others: something may be sealed with them still."""
    write_private(file, "\n".join([secrets.token_hex(32), *(key.hex() for key in load_keys(file))]))


def retire_keys(file: Path) -> None:
    """Keep the two newest keys of a file: one that still wrote with the older of them may have been overtaken."""
    write_private(file, "\n".join(key.hex() for key in load_keys(file)[:2]))


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    private_folder(file.parent)
    draft = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)


def private_folder(folder: Path) -> None:
    """Make a folder that only its owner may enter; an existing one is left as it is."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _load(file: Path, make: Callable[[], str]) -> str:
    private_folder(file.parent)
    if not file.exists():
        draft = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
        write_private(draft, make())
        with contextlib.suppress(FileExistsError):  # another process was first: its secret is the one
            os.link(draft, file)
        draft.unlink()
    return file.read_text().strip()
