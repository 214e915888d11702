#!/bin/sh
# Installs Debian's Chromium and a font for the tests marked browser, which start and end it themselves.
# `WXREC_BROWSER=required` then makes its absence a failure instead of a skip.
set -eu
command -v chromium >/dev/null && exit 0
sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core
