#!/usr/bin/env bash
# Sets cairn up on Debian 12: installs what is missing with apt, builds, and shows or tests it.
#   ./setup.sh          install and build
#   ./setup.sh demo     then ingest Debian's manuals and answer three questions from them
#   ./setup.sh test     then run every test
# Runs as root or through sudo, needs no network but apt's, and can be run again at any time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

build_packages=(
  build-essential cmake ninja-build
  libabsl-dev libbenchmark-dev libcli11-dev libcpp-httplib-dev libdnnl-dev libfaiss-dev
  libgmock-dev libgrpc++-dev libgtest-dev libhnswlib-dev libicu-dev libopenblas-dev
  libprotobuf-dev librocksdb-dev libsimdjson-dev libspdlog-dev libssl-dev libstemmer-dev
  libxxhash-dev nlohmann-json3-dev prometheus-cpp-dev protobuf-compiler protobuf-compiler-grpc)
demo_packages=(debian-reference-en debian-policy)

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

# install PACKAGE...: those that are not installed yet.
install() {
  local missing=() package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" = "install ok installed" ] ||
      missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "Installing with apt: ${missing[*]}"
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
      echo "setup.sh: not root, and sudo is not installed; install these packages first" >&2
      exit 1
    }
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}"
}

build() {
  install "${build_packages[@]}"
  say "Building (build/release)"
  cmake --preset release
  cmake --build --preset release
}

demo() {
  install "${demo_packages[@]}"
  build
  local cairn=build/release/cairn store=build/demo.store question
  rm -rf "$store"  # Made by an earlier demo, perhaps with another model.
  say "Ingesting the Debian Reference and the Debian Policy Manual into $store"
  "$cairn" ingest --store "$store" --metadata manual=reference /usr/share/debian-reference/*.en.html
  "$cairn" ingest --store "$store" --metadata manual=policy /usr/share/doc/debian-policy/policy.html/*.html
  for question in \
    "What is a virtual package?" \
    "What may a package's postinst script assume when it runs?" \
    "What does it mean that a package is essential?"; do
    say "Question: $question"
    "$cairn" search --store "$store" -k 3 "$question"
    echo "Answer, taken from the passages:"
    "$cairn" ask --store "$store" "$question"
  done
  say "Try next"
  cat <<EOF
  $cairn search --store $store --explain 'virtual package'
  $cairn search --store $store --filter 'manual = "policy"' --json -k 1 'conffile prompt'
  $cairn ask --store $store 'Which file lists the package repositories?'
  $cairn get --store $store /usr/share/debian-reference/ch02.en.html | less
  $cairn stats --store $store
  $cairn ingest --store my.store YOUR_FILES
  $cairn --help
EOF
}

run_tests() {
  build
  say "Testing"
  ctest --preset release -j "$(nproc)"
}

case "${1:-build}" in
  build) build ;;
  demo) demo ;;
  test) run_tests ;;
  *)
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
