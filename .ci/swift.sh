#!/bin/sh
# Makes OpenStack Swift's s3api available to the tests, which start and end it themselves on loopback
# (tests/s3/swift_server.py; everything is ended by process id).
#
#   .ci/swift.sh install [DIR]         memcached and liberasurecode by apt, Swift in a virtualenv (default .venv-swift)
#   .ci/swift.sh run [DIR] COMMAND...  runs COMMAND with WXREC_SWIFT_BIN set, for 10 minutes at most
#
# e.g.  .ci/swift.sh install && .ci/swift.sh run .venv-swift python -m pytest -m swift
set -eu
action=${1:?install or run}
dir=${2:-.venv-swift}
case $action in
install)
    if ! command -v memcached >/dev/null || ! ldconfig -p | grep -q liberasurecode.so.1; then
        sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
        $sudo apt-get update -qq
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends memcached liberasurecode1
    fi
    [ -x "$dir/bin/python" ] || python3 -m venv "$dir"
    # swift 2.38 still asks setuptools for its entry points at run time
    "$dir/bin/python" -m pip install -q --disable-pip-version-check 'swift==2.38.3' 'setuptools<81'
    echo "WXREC_SWIFT_BIN=$(cd "$dir/bin" && pwd)"
    ;;
run)
    shift 2
    WXREC_SWIFT_BIN=$(cd "$dir/bin" && pwd)
    export WXREC_SWIFT_BIN
    exec timeout 600 "$@"
    ;;
*)
    echo "usage: $0 install|run [DIR] [COMMAND...]" >&2
    exit 2
    ;;
esac
