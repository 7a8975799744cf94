#!/bin/sh
# Makes .venv from the locked requirements, every file checked against its hash. Needs python3.11 with venv and pip.
# Your index settings hold: uv reads UV_*; an index or a certificate that only pip knows of is handed on to uv.
set -eu
PYTHON=${PYTHON:-python3.11}
VENV=${VENV:-.venv}

say() { printf 'setup: %s\n' "$*" >&2; }

as_root() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

system_package() { # command, package, what it is good for
    command -v "$1" >/dev/null && return 0
    if as_root; then
        say "installing $2"
        if { apt-get install -y -q "$2" || { apt-get update -q && apt-get install -y -q "$2"; }; } </dev/null >/dev/null 2>&1; then
            return 0
        fi
    fi
    say "$1 is missing ($3): install the system package $2. Going on without it."
}

if ! command -v "$PYTHON" >/dev/null; then
    say "$PYTHON is missing: install Python 3.11, or name yours: make setup PYTHON=/path/to/python3.11"
    exit 1
fi
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { say "$PYTHON is older than 3.11"; exit 1; }

if [ ! -x "$VENV/bin/python" ]; then
    if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
        as_root && apt-get install -y -q python3.11-venv </dev/null >/dev/null 2>&1 || true
    fi
    "$PYTHON" -m venv "$VENV" || { say "$PYTHON has no venv: install the system package python3.11-venv"; exit 1; }
fi

if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
    index=${PIP_INDEX_URL:-$("$VENV/bin/pip" config get global.index-url 2>/dev/null || true)}
    [ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
fi
[ -n "${SSL_CERT_FILE:-}" ] || [ -z "${PIP_CERT:-}" ] || export SSL_CERT_FILE="$PIP_CERT"

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
system_package bwrap bubblewrap "jobs run without a sandbox"
say "ready: $VENV/bin/entrepot"
