#!/usr/bin/env bash
# Train on several GPUs (or CPU processes) with torchrun:
#
#   tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
#
# On several nodes run the same line on each with these set: NNODES, NODE_RANK, MASTER_ADDR, PORT.
# On one node a free port is found unless PORT names one, so that several runs can share the machine.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo 'usage: tools/dist_train.sh CONFIG GPUS [options of tools/train.py]' >&2
    exit 2
fi
config=$1 gpus=$2
shift 2
if [ "${NNODES:-1}" = 1 ] && [ -z "${PORT:-}" ]; then
    meeting=(--standalone --local_addr=127.0.0.1)  # a container's host name may not resolve
else
    meeting=(--nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}"
        --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}")
fi
exec "${PYTHON:-python}" -m torch.distributed.run \
    "${meeting[@]}" --nproc_per_node="$gpus" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "$@"
