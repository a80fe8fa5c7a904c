#!/usr/bin/env bash
# The install script against a release in a folder: it installs what the checksums name, and nothing else.
# Usage: packaging/test-install.sh BINARY
set -euo pipefail
binary="$(realpath "${1:?a binary}")"
cd "$(dirname "$0")"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
target="$(uname -m)-unknown-linux-musl"
mkdir -p "$scratch/release/v0/shardfit-$target"
cp "$binary" "$scratch/release/v0/shardfit-$target/shardfit"
(cd "$scratch/release/v0" && tar czf "shardfit-$target.tar.gz" "shardfit-$target" && sha256sum ./*.tar.gz | sed 's|\./||' >SHA256SUMS)

sh install.sh --from "$scratch/release" --version v0 --to "$scratch/bin"
"$scratch/bin/shardfit" --version

echo spoilt >>"$scratch/release/v0/shardfit-$target.tar.gz"
rm "$scratch/bin/shardfit"
if sh install.sh --from "$scratch/release/v0" --to "$scratch/bin" 2>"$scratch/said"; then
    echo "a spoilt archive was installed" >&2
    exit 1
fi
grep -q "nothing was installed" "$scratch/said"
test ! -e "$scratch/bin/shardfit"
if sh install.sh --frm x 2>/dev/null; then exit 1; fi
echo "the install script installs what the checksums name, and nothing else"
