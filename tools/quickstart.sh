#!/usr/bin/env bash
# From nothing to a pre-trained encoder, on the CPU and without a download of data:
#
#   bash tools/quickstart.sh
#
# Makes .venv, makes the demo data, pre-trains a small ViT with FastMIM, compares its frozen features
# with a random encoder's. Results are in work_dirs/quickstart: summary.json, reconstructions.png,
# curves.png, log and checkpoint. Environment variables: those of tools/setup_env.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

config=configs/demo/fastmim_vit-micro_bs64_demo-32.py
data=data/demo
work_dir=work_dirs/quickstart
started=$(date +%s)

bash tools/setup_env.sh --level pretrain
python=${MIM_PLUGINS_VENV:-$PWD/.venv}/bin/python
export PYTHONWARNINGS=ignore  # what installed packages say of one another at import

printf '\n== Demo data\n'
"$python" tools/make_demo_data.py "$data"

printf '\n== Pre-training\n'
rm -f "$work_dir/summary.json"
start=$SECONDS
"$python" tools/train.py "$config" --work-dir "$work_dir"
seconds_train=$((SECONDS - start))

printf '\n== Evaluation\n'
"$python" tools/evaluate_run.py "$work_dir" "$data/classification" \
    --seconds-train "$seconds_train" --started "$started"
printf '\nSee %s: summary.json, reconstructions.png, curves.png\n' "$work_dir"
