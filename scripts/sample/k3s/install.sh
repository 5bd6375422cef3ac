#!/bin/sh
# STAND-IN for the k3s install script, made by scripts/sample: checks what the real one would need, changes nothing.
set -eu
bin="${INSTALL_K3S_BIN_DIR:-/usr/local/bin}/k3s"
echo "k3s install.sh @K3S@: stand-in of the sample release, not the real install script" >&2
case "${INSTALL_K3S_SKIP_DOWNLOAD:-}" in
    true|binary) ;;
    *) echo "set INSTALL_K3S_SKIP_DOWNLOAD=true: this stand-in never downloads" >&2; exit 1 ;;
esac
[ -x "$bin" ] || { echo "no executable $bin: put the k3s of the release there first" >&2; exit 1; }
"$bin" --version
echo "the real script would now install and start the k3s service; the stand-in stops here"
