#!/bin/sh
# system-package.sh COMMAND PACKAGE WHY: see that a command is there. As root on Debian or Ubuntu it is installed, without
# starting any service; else it is said what is missing, and whoever can do without goes on.
set -eu
! command -v "$1" >/dev/null || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing the system package $2" >&2
    export RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive
    apt-get install -y -q "$2" </dev/null >/dev/null 2>&1 && exit 0
    { apt-get update -q && apt-get install -y -q "$2"; } </dev/null >/dev/null 2>&1 && exit 0
fi
echo "$1 is missing ($3): install the system package $2. Going on without it." >&2
