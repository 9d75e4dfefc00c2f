#!/usr/bin/env bash
# Set up both levels, lint, and run the tests:
#
#   bash tools/test.sh [pytest's arguments]      for instance: bash tools/test.sh tests/ops -k hog
#
# Environment variables: those of tools/setup_env.sh, and OMP_NUM_THREADS, which is left alone (torch
# takes every core unless it is set; set it where several runs share a machine).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash tools/setup_env.sh --level downstream
bin=${MIM_PLUGINS_VENV:-$PWD/.venv}/bin
"$bin/ruff" check .
"$bin/python" -m pytest -q "$@"
