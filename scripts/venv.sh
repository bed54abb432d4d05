#!/bin/sh
# Make .venv anew with a Python that Bytewax has a wheel for: sh scripts/venv.sh [PYTHON]
# The one given, else the first that fits on the PATH, else one that uv brings.
set -eu
# Debian's python3 has no venv without the package python3-venv.
fits='import sys, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))'
for python in ${1:-python3 python3.12 python3.11 python3.10}; do
    if "$python" -c "$fits" 2>/dev/null; then
        exec "$python" -m venv --clear .venv
    fi
done
if [ -z "${1:-}" ] && command -v uv >/dev/null; then
    echo "no Python 3.10, 3.11 or 3.12 with venv here: taking uv's"
    rm -rf .venv
    exec uv venv --quiet --seed --python '>=3.10,<3.13' .venv
fi
echo "${1:+$1 is no Python that fits: }domination needs Python 3.10, 3.11 or 3.12 with venv (Debian: python3-venv)." \
    "Install one, or uv, which brings one: https://docs.astral.sh/uv/." \
    "One that is elsewhere: make run PYTHON=/path/to/python" >&2
exit 1
