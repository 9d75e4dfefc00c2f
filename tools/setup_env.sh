#!/usr/bin/env bash
# Set up this checkout's virtual environment. Again and again is fine: when nothing has changed it
# needs no network and takes no time.
#
#   bash tools/setup_env.sh [--level pretrain|downstream] [--tests] [--newest]
#
#   pretrain     pre-training and classification, nothing compiled (default)
#   downstream   also mmcv's compiled ops, mmdet and mmseg
#   --tests      also pytest, ruff and the like
#   --newest     the newest releases of everything instead of the tested ones; level pretrain only
#
# Environment variables, all optional:
#   MIM_PLUGINS_VENV     folder of the environment; .venv in the checkout if not set
#   MIM_PLUGINS_PYTHON   interpreter to use, instead of the first on PATH that fits
#   XDG_CACHE_HOME       its mim_plugins/wheels keeps the compiled ops; ~/.cache if not set
#   MAX_JOBS             compilations at a time; the number of cores if not set
# pip's own settings (indexes, proxies, cache) hold throughout.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${MIM_PLUGINS_VENV:-$root/.venv}
wheels=${XDG_CACHE_HOME:-$HOME/.cache}/mim_plugins/wheels
py=$venv/bin/python
log=''
building=''

say() { printf '%s\n' "$*"; }
stop() { printf '%s\n' "$*" >&2; exit 1; }
trap 'rm -rf ${log:+"$log"} ${building:+"$building"}' EXIT

level=pretrain
tests=no
newest=no
while [ $# -gt 0 ]; do
    case $1 in
        --level) level=${2:-}; shift ;;
        --level=*) level=${1#*=} ;;
        --tests) tests=yes ;;
        --newest) newest=yes ;;
        -h|--help) sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit ;;
        *) stop "setup_env.sh: expected --level pretrain, --level downstream, --tests or --newest, got '$1'." ;;
    esac
    shift || true
done
case $level in
    pretrain|downstream) ;;
    *) stop "setup_env.sh: --level wants pretrain or downstream, got '$level'." ;;
esac

if [ "$newest" = yes ] && [ "$level" = downstream ]; then
    stop 'setup_env.sh: --newest goes with --level pretrain only: the compiled ops fit tested versions.'
fi

# step LABEL COMMAND...: run quietly, print one line with the seconds; the log's end if it fails.
step() {
    local label=$1 start=$SECONDS status=0
    shift
    printf '  %-58s' "$label"
    "$@" >"$log" 2>&1 || status=$?
    if [ "$status" -ne 0 ]; then
        printf 'failed after %s s\n\n' $((SECONDS - start))
        tail -n 40 "$log" >&2
        stop "setup_env.sh stopped at: $label."
    fi
    printf '%4s s\n' $((SECONDS - start))
}

fits() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] < (3, 11))' \
        >/dev/null 2>&1
}

find_python() {
    local candidate
    for candidate in ${MIM_PLUGINS_PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if command -v "$candidate" >/dev/null && fits "$candidate"; then
            say "$candidate"
            return
        fi
    done
    stop "No Python 3.11 or newer with its venv module among" \
        "${MIM_PLUGINS_PYTHON:-python3, python3.14, python3.13, python3.12 and python3.11}: install one" \
        "(on Debian and Ubuntu: apt install python3 python3-venv) or name it in MIM_PLUGINS_PYTHON."
}

make_venv() {
    local python
    python=$(find_python) || exit 1
    if [ -e "$venv" ] && [ ! -f "$venv/pyvenv.cfg" ] && [ -n "$(ls -A "$venv")" ]; then
        stop "$venv is no virtual environment: move it away or set MIM_PLUGINS_VENV."
    fi
    step "making $(basename "$venv") with $("$python" -V)" "$python" -m venv --clear "$venv"
}

# A stamp says that a level is in place: same requirements, interpreter and checkout.
fingerprint() {
    {
        cat "$root"/requirements/*.txt "$root/setup.py" "$root/pyproject.toml"
        "$py" -c 'import sys; print(sys.version)'
        say "$root $newest"
    } | cksum | tr ' ' '-'
}

stamped() {
    local stamp="$venv/.mim_plugins-$1"
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$print" ] && [ -e "$root/mim_plugins/.mim/tools" ]
}

pip() { "$py" -m pip "$@"; }
install() {
    if [ "$newest" = yes ]; then
        pip install --upgrade --upgrade-strategy eager "$@"
    else
        pip install -c "$root/requirements/constraints.txt" "$@"
    fi
}
pinned() { grep "^$1==" "$root/requirements/constraints.txt"; }

install_pretrain() {
    step 'updating pip, setuptools and wheel' install --upgrade pip setuptools wheel
    step 'installing torch and torchvision (the largest part)' install torch torchvision
    # Isolated, mmcv's build sees no torch and gives the pure-Python package; a wheel with ops that
    # pip has cached for another torch must not slip in.
    step 'installing mmcv (compiled ops, if there, are kept)' install --no-cache-dir onedl-mmcv
    step 'installing mim_plugins and what it needs' install -e "${root}[pretrain]"
    # The ordinary OpenCV wants a desktop's libraries, which servers and containers lack.
    "$py" -c 'import cv2' 2>/dev/null ||
        step 'taking OpenCV without windows' install --force-reinstall --no-deps \
            opencv-python-headless
    step 'checking' "$py" -m mim_plugins.check_env
}

# Called by step, where set -e does not hold: hence the chain. mmcv's build asks for C++17, but the headers
# of torch 2.14 need C++20.
build_ops() {
    local folder=$1
    local -x PATH="$venv/bin:$PATH" MAX_JOBS=${MAX_JOBS:-$(nproc)}  # ninja has to be found
    case $folder in *-cpu) local -x CUDA_VISIBLE_DEVICES='' ;; esac
    rm -rf "$folder"/.building.*  # what a killed build left; we hold the lock
    building=$folder/.building.$$
    mkdir "$building" &&
        pip download --no-build-isolation --no-cache-dir --no-deps --no-binary onedl-mmcv \
            --dest "$building" "$(pinned onedl-mmcv)" &&
        tar -xzf "$building"/onedl_mmcv-*.tar.gz -C "$building" &&
        sed -i 's/-std=c++17/-std=c++20/' "$building"/onedl_mmcv-*/setup.py &&
        pip wheel --no-build-isolation --no-cache-dir --no-deps --wheel-dir "$building" \
            "$building"/onedl_mmcv-*/ &&
        "$py" -m zipfile --list "$building"/*.whl | grep '^mmcv/_ext\.' &&
        mv "$building"/*.whl "$folder/"
}

# What pip would say in a hundred lines.
need_compiler() {
    command -v "${CXX:-g++}" >/dev/null || stop "Building mmcv's ops needs a C++ compiler and" \
        "${CXX:-g++} is not there (on Debian and Ubuntu: apt install build-essential)."
    "$py" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
        stop "Building mmcv's ops needs Python's headers and Python.h is not there" \
            "(on Debian and Ubuntu: apt install python3-dev)."
}

# The ops fit one torch, one Python and one kind of build, so that is what their folder is named
# after. They are built for CUDA where a GPU answers and nvcc is of torch's major version.
ops_folder() {
    "$py" - 2>/dev/null <<'PY'
import subprocess, sys, torch
from torch.utils.cpp_extension import CUDA_HOME
kind = 'cpu'
if torch.cuda.is_available() and CUDA_HOME:
    told = subprocess.run([f'{CUDA_HOME}/bin/nvcc', '--version'], capture_output=True, text=True)
    if f'release {torch.version.cuda.split(".")[0]}.' in told.stdout:
        kind = 'cuda'
print(f'torch{torch.__version__}-cp{sys.version_info[0]}{sys.version_info[1]}-{kind}')
PY
}

install_downstream() {
    local folder wheel
    step 'installing what builds the ops' install ninja "setuptools<81" wheel
    folder=$wheels/$(ops_folder)
    mkdir -p "$folder"
    exec 9>"$folder/.lock"  # one build at a time; the lock goes with this process
    if command -v flock >/dev/null && ! flock -n 9; then
        say '  another set-up is building the ops: waiting for it'
        flock 9
    fi
    wheel=$(compgen -G "$folder/$(pinned onedl-mmcv | sed 's/-/_/; s/==/-/')-*.whl" || true)
    if [ -z "$wheel" ]; then
        need_compiler
        step "building the ops for ${folder##*-} (once; 10 minutes on 2 cores)" build_ops "$folder"
        wheel=$(compgen -G "$folder/$(pinned onedl-mmcv | sed 's/-/_/; s/==/-/')-*.whl")
    fi
    exec 9>&-
    step 'installing the compiled ops' \
        pip install --force-reinstall --no-deps --no-index "$wheel"
    step 'loading mmcv._ext' "$py" -c 'import torch, mmcv._ext'
    step 'installing mmdet and mmseg' install -e "${root}[downstream]"
    step 'checking' "$py" -m mim_plugins.check_env --level downstream
}

install_tests() {
    step 'installing what the tests need' install -r "$root/requirements/tests.txt"
    # The command mim is tested as well; it pins an old pandas, so that only the full tests bring it.
    if [ "$level" = downstream ]; then
        if "$py" -c 'import sys; sys.exit(sys.version_info[:2] < (3, 14))'; then
            say '  leaving out mim: its pandas has no wheel for this Python'
        else
            step 'installing mim' install -e "${root}[mim]"
        fi
    fi
}

main() {
    local start=$SECONDS
    log=$(mktemp)
    if [ ! -x "$py" ] || ! fits "$py"; then
        say "Setting up $venv"
        make_venv
    fi
    print=$(fingerprint)
    if ! stamped downstream; then
        if ! stamped pretrain; then
            install_pretrain
            say "$print" >"$venv/.mim_plugins-pretrain"
        fi
        if [ "$level" = downstream ]; then
            install_downstream
            say "$print" >"$venv/.mim_plugins-downstream"
        fi
    fi
    if [ "$tests" = yes ] && ! stamped "tests-$level"; then
        install_tests
        say "$print" >"$venv/.mim_plugins-tests-pretrain"
        say "$print" >"$venv/.mim_plugins-tests-$level"
    fi
    say "$venv is ready for $level ($((SECONDS - start)) s)."
}

main "$@"; exit  # read to here before anything runs, so that editing this file meanwhile is safe
