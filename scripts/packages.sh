# SPDX-License-Identifier: Apache-2.0
#
# Which Debian 12 packages each script needs, and how a missing one is installed. Sourced by the
# scripts of this folder; the lists stand here and nowhere else.

# Builds the plugin and the demo programs. libc6-dbg names libc's own frames (start_thread).
demo_packages=(
  gcc g++ libc6-dev libc6-dbg cmake ninja-build pkg-config
  lldb-19 liblldb-19-dev
  gdb pybind11-dev libpython3-dev
  libzydis-dev libelf-dev libdw-dev libiberty-dev zlib1g-dev
  libcli11-dev nlohmann-json3-dev libfmt-dev libexpected-dev libgtest-dev
)

# Builds and runs all tests: other compilers and libcs, the peers that answers are compared with,
# and the real programs that are run to completion, or attached to, under tracking.
test_packages=(
  "${demo_packages[@]}"
  binutils clang clang-14 libclang-rt-14-dev musl-tools
  python3 util-linux valgrind gdbserver libjemalloc2 libbenchmark-dev
  bash git jq lua5.4 sqlite3
  lighttpd redis-server
)

say() { printf '== %s\n' "$*"; }

# install_missing PACKAGE...: nothing happens when all are there.
install_missing() {
  local package missing=()
  for package in "$@"; do
    if [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) != installed ]]; then
      missing+=("$package")
    fi
  done
  if ((${#missing[@]} == 0)); then
    return 0
  fi
  if ! command -v apt-get >/dev/null; then
    echo "error: missing: ${missing[*]} (Debian 12 package names; there is no apt-get here)" >&2
    return 1
  fi
  if ((EUID != 0)); then
    echo "error: run as root: apt-get install --no-install-recommends ${missing[*]}" >&2
    return 1
  fi
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q
  apt-get install -q -y --no-install-recommends "${missing[@]}"
}

# build PRESET TARGET...: configures build/PRESET when needed and builds (no target: all of it).
# Compilers and libraries come from the packages above, whatever else stands first on PATH.
build() {
  local preset=$1
  shift
  if [[ ! -f build/$preset/build.ninja ]]; then
    say "configuring build/$preset"
    cmake --preset "$preset" -DCMAKE_C_COMPILER=/usr/bin/gcc -DCMAKE_CXX_COMPILER=/usr/bin/g++ \
      >build/configure.log || { cat build/configure.log >&2; return 1; }
  fi
  say "building build/$preset (${*:-everything})"
  cmake --build "build/$preset" ${1:+--target "$@"} -- --quiet
}

# Debuggers and compilers put their temporary files into the build folder.
enter_checkout() {
  cd "$(dirname "${BASH_SOURCE[0]}")/.."
  mkdir -p build/tmp
  export TMPDIR="$PWD/build/tmp"
}
