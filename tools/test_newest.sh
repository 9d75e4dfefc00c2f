#!/usr/bin/env bash
# Run the fast tests with the newest release of everything, in a temporary environment:
#
#   bash tools/test_newest.sh [pytest's arguments]
#   MIM_PLUGINS_PYTHON=python3.14 bash tools/test_newest.sh
#
# It tells early which new release breaks something; requirements/constraints.txt has the tested ones. torch
# alone is some 5 GB, below TMPDIR.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

MIM_PLUGINS_VENV=$(mktemp -d)
export MIM_PLUGINS_VENV
trap 'rm -rf "$MIM_PLUGINS_VENV"' EXIT
bash tools/setup_env.sh --tests --newest
"$MIM_PLUGINS_VENV/bin/python" -m pip list
"$MIM_PLUGINS_VENV/bin/python" -m pytest -q --durations=10 --numprocesses="${TEST_PROCESSES:-2}" --dist=loadfile \
    -m 'not (slow or processes or downstream or gpu)' "$@"
