#!/usr/bin/env bash
# Sets the project up and runs it:
#   ./run.sh                         start the service and all that it needs on this machine, until Ctrl+C
#   ./run.sh test [PYTEST-ARGS]      run the whole test suite
#   ./run.sh reset-password [USER]   set a new password for a user while the service runs
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

readonly oldest="3.11"

fail() {
    echo "run.sh: $1" >&2
    exit 1
}

# Print the first Python that is new enough and can make virtual environments.
find_python() {
    local name too_old="" no_venv=""
    for name in python3 python3.11 python3.12 python3.13 python3.14; do
        command -v "$name" >/dev/null || continue
        if ! "$name" -c "import sys; sys.exit(sys.version_info < (${oldest/./, }))"; then
            too_old="$name is $("$name" -c 'import platform; print(platform.python_version())')"
        elif ! "$name" -c 'import venv, ensurepip' 2>/dev/null; then
            no_venv="$("$name" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
        else
            echo "$name"
            return
        fi
    done
    [ -z "$no_venv" ] || fail "Python's venv module is missing: sudo apt install $no_venv"
    [ -z "$too_old" ] || fail "Python $oldest or newer is required, but $too_old: sudo apt install python$oldest-venv"
    fail "Python $oldest or newer is required, but not installed: sudo apt install python3 python3-venv"
}

# Create .venv, unless a working one exists.
make_venv() {
    if [ -x .venv/bin/pip ] && .venv/bin/python -c '' 2>/dev/null; then return; fi
    local python
    python="$(find_python)"
    echo "Creating .venv with $python …"
    "$python" -m venv --clear .venv
}

# Install a lock file into .venv, unless it is installed already.
install() {
    local lock="$1" stamp=".venv/installed-$1"
    if [ -f "$stamp" ] && cmp -s "$lock" "$stamp"; then return; fi
    echo "Installing $lock …"
    .venv/bin/python -m pip install --disable-pip-version-check --require-hashes --requirement "$lock" ||
        fail "pip could not install $lock (see above)"
    cp "$lock" "$stamp"
}

# Register `flask rmq` with the flask of .venv: it works in any directory, without the service's settings.
install_commands() {
    if [ .venv/installed-commands -nt pyproject.toml ]; then return; fi
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation \
        --editable . || fail "pip could not install the command line (see above)"
    touch .venv/installed-commands
}

command="${1:-start}"
shift $(($# > 0))
case "$command" in
    start | test | reset-password) ;;
    *) fail "usage: ./run.sh, ./run.sh test [PYTEST-ARGS] or ./run.sh reset-password [USER]" ;;
esac
make_venv
install requirements.txt
install_commands
case "$command" in
    start) exec .venv/bin/python -m launcher ;;
    test)
        install requirements-test.txt
        # The tests start hundreds of Python programs. They compile their modules once, not at every start.
        unset PYTHONDONTWRITEBYTECODE
        # Tests wait for servers and periods, so eight processes use two cores. A later -m or -n overrides these.
        exec .venv/bin/python -m pytest -n 8 --dist loadgroup -m "not soak" "$@"
        ;;
    reset-password) exec .venv/bin/python -m launcher.reset_password "$@" ;;
esac
