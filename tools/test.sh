#!/usr/bin/env bash
# Set up the environment, lint, and run the tests:
#
#   bash tools/test.sh                        everything: the fast set first, then the rest
#   bash tools/test.sh --fast                 the fast set: level pretrain, no child processes, minutes
#   bash tools/test.sh tests/ops -k hog       a part, with pytest's arguments
#   bash tools/test.sh --fast tests/models    the fast tests of a part
#
# Everything needs level downstream, whose first set-up compiles mmcv's ops for ten minutes. A part runs in the
# environment that is there; without level downstream, the tests that need it are skipped.
#
# Environment variables: those of tools/setup_env.sh, and TEST_PROCESSES, the number of tests at a time in
# whole sets (2 if not set; each takes some 2 GB of memory).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

slow='slow or processes or downstream or gpu'
fast=no
case ${1:-} in
    --fast) fast=yes; shift ;;
    -h|--help) sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' tools/test.sh; exit ;;
esac
level=pretrain
if [ "$fast" = no ] && [ $# -eq 0 ]; then
    level=downstream
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
