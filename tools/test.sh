#!/usr/bin/env bash
# Set up the environment, lint, and run the tests:
#
#   bash tools/test.sh                        everything: the fast set first, then the rest
#   bash tools/test.sh --fast                 the fast set: level pretrain, no child processes, minutes
#   bash tools/test.sh tests/ops -k hog       a part, with pytest's arguments
#   bash tools/test.sh --fast tests/models    the fast tests of a part
#
# Environment variables: those of tools/setup_env.sh, and TEST_PROCESSES, the number of tests at a time in
# whole sets (2 if not set; each takes some 2 GB of memory).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

slow='slow or processes or downstream or gpu'
level=downstream
fast=no
if [ "${1:-}" = --fast ]; then
    level=pretrain
    fast=yes
    shift
fi

bash tools/setup_env.sh --level "$level" --tests
bin=${MIM_PLUGINS_VENV:-$PWD/.venv}/bin
"$bin/ruff" check .
whole=(-q --durations=10 --numprocesses="${TEST_PROCESSES:-2}" --dist=loadfile)
if [ "$fast" = yes ]; then
    "$bin/python" -m pytest "${whole[@]}" -m "not ($slow)" "$@"
elif [ $# -gt 0 ]; then
    "$bin/python" -m pytest -q "$@"
else
    "$bin/python" -m pytest "${whole[@]}" -m "not ($slow)"
    "$bin/python" -m pytest "${whole[@]}" -m "$slow"
fi
