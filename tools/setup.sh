#!/bin/sh
# Makes .venv from the locked requirements, every file checked against its hash. Needs python3.11 with venv and pip.
# Your index settings hold, those of uv and those of pip.
set -eu
PYTHON=${PYTHON:-python3.11}
VENV=${VENV:-.venv}

say() { printf 'setup: %s\n' "$*" >&2; }

if ! command -v "$PYTHON" >/dev/null; then
    say "$PYTHON is missing: install Python 3.11, or name yours: make setup PYTHON=/path/to/python3.11"
    exit 1
fi
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { say "$PYTHON is older than 3.11"; exit 1; }

if [ ! -x "$VENV/bin/python" ]; then
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
        sh tools/system-package.sh python3.11-ensurepip python3.11-venv "no virtual environment can be made"
    "$PYTHON" -m venv "$VENV" || { say "$PYTHON has no venv: install the system package python3.11-venv"; exit 1; }
fi

"$VENV/bin/python" -m pip --version >/dev/null 2>&1 || "$VENV/bin/python" -m ensurepip >/dev/null
python="$VENV/bin/python"
. tools/index.sh

locked_uv=$(sed -n 's/^uv==\([^ ;\\]*\).*/\1/p' requirements/dev.txt)
if [ "$("$VENV/bin/uv" --version 2>/dev/null | cut -d' ' -f2)" != "$locked_uv" ]; then
    say "getting uv $locked_uv"
    awk '/^uv==/ { found = 1 } found { print } found && !/\\$/ { exit }' requirements/dev.txt >"$VENV/uv.txt"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$VENV/uv.txt"
fi

say "installing the locked requirements"
export VIRTUAL_ENV="$VENV"
"$VENV/bin/uv" pip sync --quiet --require-hashes requirements/dev.txt
"$VENV/bin/uv" pip install --quiet --no-deps --no-build-isolation --editable .
sh tools/system-package.sh curl curl "make demo asks a served model with it"
sh tools/system-package.sh bwrap bubblewrap "jobs run without a sandbox"
say "ready: $VENV/bin/entrepot"
