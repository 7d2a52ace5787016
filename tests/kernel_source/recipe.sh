#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A recipe that takes a kernel out of the tarball in place of compiling it, so that what happens around a recipe can be
# tried in seconds. Beside it: `tools` is its compiler, `runs` gets a line for each run, and while `wait` is there, a
# run goes on.
set -euo pipefail
here=${0%/*}
tools() {
    if [[ -e $here/tools ]]; then cat "$here/tools"; else echo "gcc of the image"; fi
}
case $1 in
tools) tools ;;
build)
    echo run >>"$here/runs"
    echo "::objects 1"
    echo "  CC      kernel/fork.o"
    while [[ -e $here/wait ]]; do sleep 0.1; done
    mkdir -p "$5"
    tar -xf "$2" -C "$5"
    tools >"$5/tools"
    echo 1700000000 >"$5/epoch"
    ;;
esac
