#!/bin/bash
# Sets up a Debian 12 or Ubuntu 24.04 machine, builds everything and runs the tests: first as they
# are, then, if time allows, with the address and undefined-behaviour sanitizers. Ends in under 30
# minutes on two cores.
#
#   scripts/test.sh                       needs root or sudo when packages are missing
#   BUNDLE_TEST_MINUTES=60 scripts/test.sh
#
# The last lines are ctest's. Exit status 0: every test that ran has passed.
set -euo pipefail

cd "$(dirname "$0")/.."
limit_seconds=$((${BUNDLE_TEST_MINUTES:-27} * 60))
jobs=$(nproc)
# Tests speak to servers on the loopback, never through a proxy.
export no_proxy=127.0.0.1,localhost NO_PROXY=127.0.0.1,localhost

say() { printf '\n== %s (minute %d)\n' "$*" $((SECONDS / 60)); }
remaining() { echo $((limit_seconds > SECONDS ? limit_seconds - SECONDS : 1)); }

launcher=()
if command -v ccache > /dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi

# build PRESET [TARGET...]
build() {
    cmake --preset "$1" -DBUNDLE_UNITY=ON "${launcher[@]}" > "build/$1.configure.log" 2>&1 ||
        { cat "build/$1.configure.log" >&2; return 1; }
    cmake --build --preset "$1" -j "$jobs" ${2+--target "${@:2}"}
}

say "packages"
scripts/install-packages.sh build demo test
mkdir -p build

say "building: preset dev"
started=$SECONDS
build dev
dev_build=$((SECONDS - started))

say "tests: preset dev"
started=$SECONDS
status=0
ctest --preset dev -j "$jobs" --timeout 600 2>&1 | tee build/ctest-dev.log || status=$?
dev_tests=$((SECONDS - started))

# With sanitizers: whatever parses bytes from outside, and the way of an import. .ci/nightly has all.
asan_targets=(format_test store_test api_test codec_gzip_test codec_tar_test codec_document_test)
mapfile -t fuzz_targets < <(cd fuzz && for source in fuzz_*.cc; do echo "${source%.cc}"; done)
asan_tests="^($(IFS='|'; echo "${asan_targets[*]}"))\$|^fuzz_"
asan_summary="not run: too little of the $((limit_seconds / 60)) minutes was left"
# Code with sanitizers takes about twice as long to compile, but this is about half of it.
if [ $status = 0 ] && [ $((dev_build + dev_tests)) -lt "$(remaining)" ]; then
    say "building: preset asan"
    if timeout "$(remaining)" cmake --preset asan -DBUNDLE_UNITY=ON "${launcher[@]}" > build/asan.configure.log 2>&1; then
        code=0
        timeout "$(remaining)" cmake --build --preset asan -j "$jobs" \
            --target "${asan_targets[@]}" "${fuzz_targets[@]}" || code=$?
        if [ $code = 0 ]; then
            say "unit tests and fuzz replays: preset asan"
            timeout "$(remaining)" ctest --preset asan -j "$jobs" --timeout 900 --tests-regex "$asan_tests" 2>&1 |
                tee build/ctest-asan.log || code=$?
        fi
        case $code in
            0) asan_summary=$(grep 'tests passed' build/ctest-asan.log) ;;
            124) asan_summary="cut short by the time limit" ;;
            *) asan_summary="FAILED"; status=$code ;;
        esac
    else
        asan_summary="FAILED to configure: build/asan.configure.log"
        status=1
    fi
fi

say "result"
echo "asan: $asan_summary"
sed -n '/tests passed/,$p' build/ctest-dev.log
exit $status
