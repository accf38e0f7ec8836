#!/bin/sh
# Installs the system packages that are missing, and says which. Debian and what derives from it.
# Usage: tools/system.sh [tests]     with PYTHON and CXX from the environment
set -eu

python=${PYTHON:-python3}
cxx=${CXX:-g++}
purpose=${1:-}

# need PACKAGE COMMAND...: the package is missing where the command fails.
need() {
  package=$1
  shift
  "$@" >/dev/null 2>&1 || missing="$missing $package"
}

has_header() {
  printf '#include <%s>\n' "$1" | "$cxx" -E -x c++ -
}

has_python_headers() {
  "$python" -c 'import pathlib, sysconfig
pathlib.Path(sysconfig.get_path("include"), "Python.h").stat()'
}

has_fuzzer() {
  echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
    clang++ -fsanitize=fuzzer,address,undefined -x c++ -o /dev/null -
}

has_faketime() {
  ls /usr/lib/*/faketime/libfaketimeMT.so.1
}

find_missing() {
  missing=
  need g++ "$cxx" --version
  need python3 "$python" --version
  need python3-venv "$python" -c 'import ensurepip, venv'
  need python3-dev has_python_headers
  need redis-server redis-server --version
  need libhiredis-dev has_header hiredis/hiredis.h
  if [ "$purpose" = tests ]; then
    need libgtest-dev has_header gtest/gtest.h
    need clang clang++ --version
    need spin spin -V
    need libclang-rt-dev has_fuzzer
    need liblua5.1-0-dev has_header lua5.1/lua.hpp
    need libfaketime has_faketime
  fi
}

install_missing() {
  # shellcheck disable=SC2086  # one word for each package
  $sudo sh -eu -c '
    # Debian starts a daemon as it installs one; "exit 101" here forbids that.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
      trap "rm -f $policy" EXIT
      trap "exit 1" HUP INT TERM
      printf "#!/bin/sh\nexit 101\n" >$policy
      chmod 755 $policy
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update
    apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
  ' sh $missing
}

give_up() {
  echo "$1 Please run: apt-get install$missing" >&2
  exit 1
}

find_missing
[ -n "$missing" ] || exit 0
echo "Missing system packages:$missing"

command -v apt-get >/dev/null || give_up "There is no apt-get here; names are Debian's."
if [ "$(id -u)" = 0 ]; then
  sudo=
elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
  sudo=sudo
else
  give_up "Installing them takes root."
fi
install_missing
find_missing
[ -z "$missing" ] || give_up "Still missing for PYTHON=$python, CXX=$cxx."
