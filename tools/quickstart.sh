#!/usr/bin/env bash
# From nothing to a pre-trained encoder, on the CPU and without a download of data:
#
#   bash tools/quickstart.sh
#
# Results are in work_dirs/quickstart. Environment variables: those of tools/setup_env.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

config=configs/demo/fastmim_vit-micro_bs128_demo-32.py
data=data/demo
work_dir=work_dirs/quickstart

bash tools/setup_env.sh --level pretrain
python=${MIM_PLUGINS_VENV:-$PWD/.venv}/bin/python

printf '\n== Data\n'
"$python" tools/make_demo_data.py "$data"

printf '\n== Pre-training\n'
"$python" tools/train.py "$config" --work-dir "$work_dir"

printf '\n== Evaluation\n'
