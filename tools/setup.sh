#!/bin/sh
# Makes the checkout ready: system packages, .venv with dependency groups, the package itself (editable).
# Usage: tools/setup.sh GROUP...     with PYTHON and EXTRAS (of the package) from the environment
set -eu

python=${PYTHON:-python3}
extras=${EXTRAS:-}
cd "$(dirname "$0")/.."

# Two runs at once would spoil .venv; the second one waits.
mkdir -p build
exec 9>build/.lock
flock 9

case " $* " in
  *" test "*) tools/system.sh tests ;;
  *) tools/system.sh ;;
esac

if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "dsync needs Python 3.11 or newer; name one with PYTHON=" >&2
    exit 1
  }
  "$python" -m venv --clear .venv
fi

pip() {
  .venv/bin/python -m pip --disable-pip-version-check "$@"
}

# once STAMP DIGEST COMMAND...: runs the command unless it has succeeded before for the same digest.
once() {
  stamp=.venv/.done-$1
  digest=$2
  shift 2
  if [ "$(cat "$stamp" 2>/dev/null)" != "$digest" ]; then
    "$@"
    echo "$digest" >"$stamp"
  fi
}

know_groups() {
  pip install --help | grep -q -e --group || pip install -q 'pip>=25.1'
}
once pip groups know_groups

groups=$(sha256sum pyproject.toml)
for group in "$@"; do
  once "group-$group" "$groups" pip install -q --group "$group"
done

# The names of the Python files count, their text does not: the editable install knows each by name.
sources=$({
  find src lua cmake CMakeLists.txt pyproject.toml -type f | LC_ALL=C sort | xargs sha256sum
  find python -name '*.py*' ! -name '*.pyc' | LC_ALL=C sort
} | sha256sum)
once "package-$extras" "$sources" pip install -q --no-build-isolation -e ".${extras:+[$extras]}"
