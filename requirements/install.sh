#!/usr/bin/env bash
# Makes .venv with pinned versions and this package in it; does nothing when that is already so.
#
#     requirements/install.sh PYTHON TORCH
#
# PYTHON is an interpreter of version 3.10 to 3.14; TORCH is what pip is asked to install, unless a
# torch 2.1 to 2.14 is in .venv already.
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

# pip's words go to a file; when it fails, its error lines and the file's name are shown.  Bytecode is compiled by
# compile_all, on all cores: pip uses one, and waits for it.
install() {
    local what=$1
    shift
    echo "setup: $what"
    "$venv/bin/pip" install --no-input --no-compile --disable-pip-version-check --constraint requirements/constraints.txt "$@" >>"$log" 2>&1 || {
        grep -E '^ *(ERROR|error|fatal error):?' "$log" | tail -n 3 >&2 || true
        die "pip could not install $what; the whole output is in $log."
    }
}

# Leaves out the tests of packages, and what is compiled already.  Some packages hold files for other Pythons.
compile_all() {
    nice "$venv/bin/python" -m compileall -qq -j 0 -x '/tests/' "$venv/lib" >>"$log" 2>&1 || true
}

is_supported_torch() {
    "$venv/bin/python" - 2>/dev/null <<'PY'
import torch
raise SystemExit(not (2, 1) <= tuple(map(int, torch.__version__.split(".")[:2])) <= (2, 14))
PY
}

wanted=$(cat pyproject.toml requirements/*.txt requirements/*.sh requirements/*/*.py | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && "$venv/bin/python" -c "" 2>/dev/null; then
    exit 0
fi

if ! "$venv/bin/python" -c "" 2>/dev/null; then
    "$python" -c "import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 15))" ||
        die "needs Python 3.10 to 3.14, but \`$python\` is not; name one with \`make setup PYTHON=python3.11\`."
    echo "setup: making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv" ||
        die "\`$python -m venv\` failed; install your system's package for it, such as python3-venv."
fi
: >"$log"

(install "a pip that resolves faster" pip) || echo "setup: going on with $("$venv/bin/pip" --version | cut -d ' ' -f 1,2)"
is_supported_torch || install "PyTorch ($torch)" $torch
compile_all &
install "build tools" setuptools numpy Cython
# Only tests need xtcocotools.  From Python 3.12 on it has no wheel, so it is compiled, against the NumPy that is used.
(PYTHONPATH=$PWD/requirements/xtcocotools install "xtcocotools, for tests" --no-build-isolation xtcocotools) ||
    echo "setup: going on without xtcocotools: the tests that compare with it fail (from Python 3.12 on it needs gcc)"
install "this package and what it needs" --no-build-isolation --editable ".[train,export,hub,ray,serve,dev]"
wait
compile_all &
install "MMPose, MMDetection, MMCV, and what tests compare with," --no-deps --requirement requirements/openmmlab.txt
"$venv/bin/python" -c "from rtmo_plugin import workarounds; workarounds.apply(); import mmpose.models" >>"$log" 2>&1 ||
    die "everything is installed, but MMPose does not import; see the end of $log."
wait
compile_all
echo "$wanted" >"$stamp"
echo "setup: done; use $venv/bin/python"
