#!/usr/bin/env bash
# Makes .venv with pinned versions and this package in it; does nothing when that is already so.
#
#     requirements/install.sh PYTHON TORCH
#
# PYTHON is an interpreter of version 3.10 to 3.13; TORCH is what pip is asked to install, unless a
# torch 2.1 to 2.13 is in .venv already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=$1
torch=$2
venv=.venv
log=$venv/setup.log
stamp=$venv/setup.stamp

die() {
    echo "setup: $*" >&2
    exit 1
}

# pip's words go to a file; when it fails, its error lines and the file's name are shown.
install() {
    local what=$1
    shift
    echo "setup: $what"
    "$venv/bin/pip" install --no-input --disable-pip-version-check --constraint requirements/constraints.txt "$@" >>"$log" 2>&1 || {
        grep -E '^ *(ERROR|error|fatal error):?' "$log" | tail -n 3 >&2 || true
        die "pip could not install $what; the whole output is in $log."
    }
}

is_supported_torch() {
    "$venv/bin/python" - 2>/dev/null <<'PY'
import torch
raise SystemExit(not (2, 1) <= tuple(map(int, torch.__version__.split(".")[:2])) <= (2, 13))
PY
}

wanted=$(cat pyproject.toml requirements/*.txt requirements/*.sh requirements/*/*.py | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && "$venv/bin/python" -c "" 2>/dev/null; then
    exit 0
fi

if ! "$venv/bin/python" -c "" 2>/dev/null; then
    "$python" -c "import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))" ||
        die "needs Python 3.10 to 3.13, but \`$python\` is not; name one with \`make setup PYTHON=python3.11\`."
    echo "setup: making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv" ||
        die "\`$python -m venv\` failed; install your system's package for it, such as python3-venv."
fi
: >"$log"

# From Python 3.12 on xtcocotools has no wheel, so it is compiled, against the NumPy that is used.
has_wheels=true
"$venv/bin/python" -c "import sys; sys.exit(sys.version_info >= (3, 12))" || has_wheels=false
$has_wheels || command -v cc >/dev/null || command -v gcc >/dev/null ||
    die "needs a C compiler on Python 3.12 and newer, for xtcocotools: install gcc, or use Python 3.10 or 3.11."

is_supported_torch || install "PyTorch ($torch)" $torch
install "build tools" setuptools numpy
if ! $has_wheels; then
    install "Cython" Cython
    PYTHONPATH=$PWD/requirements/xtcocotools install "xtcocotools, which is compiled" --no-build-isolation xtcocotools
fi
install "this package and what it needs" --no-build-isolation --editable ".[train,export,ray,serve,dev]"
install "MMPose, MMDetection, MMCV, and what tests compare with," --no-deps --requirement requirements/openmmlab.txt
"$venv/bin/python" -c "import rtmo_plugin.compat, mmpose.models" >>"$log" 2>&1 ||
    die "everything is installed, but MMPose does not import; see the end of $log."
echo "$wanted" >"$stamp"
echo "setup: done; use $venv/bin/python"
