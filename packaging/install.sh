#!/bin/sh
# Installs shardfit's static binary where it is told to, once its checksum is right.
#   sh install.sh [--version v0.1.0] [--to ~/.local/bin] [--from URL]
# --from names the folder of a release's files: an address, or a folder on this machine.
set -eu

version="" to="$HOME/.local/bin" from="${SHARDFIT_RELEASES:-}"
while [ $# -gt 0 ]; do
    case "$1" in
        --version) version="${2:?--version needs a value}"; shift 2 ;;
        --to) to="${2:?--to needs a folder}"; shift 2 ;;
        --from) from="${2:?--from needs an address}"; shift 2 ;;
        *) echo "install.sh: unknown option $1; allowed: --version, --to, --from" >&2; exit 2 ;;
    esac
done
if [ -z "$from" ]; then
    echo "install.sh: say where the release's files are: --from URL, or SHARDFIT_RELEASES" >&2
    exit 2
fi
[ -z "$version" ] || from="${from%/}/$version"

case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) target=x86_64-unknown-linux-musl ;;
    Linux-aarch64 | Linux-arm64) target=aarch64-unknown-linux-musl ;;
    Darwin-arm64) target=aarch64-apple-darwin ;;
    Darwin-x86_64) target=x86_64-apple-darwin ;;
    *) echo "install.sh: no binary for $(uname -s) on $(uname -m); cargo install shardfit builds one" >&2; exit 1 ;;
esac
archive="shardfit-$target.tar.gz"

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
get() {
    case "$from" in
        *://*) curl --fail --location --silent --show-error --proto '=https' --output "$scratch/$1" "${from%/}/$1" ;;
        *) cp "${from%/}/$1" "$scratch/$1" ;;
    esac
}
get "$archive"
get SHA256SUMS
cd "$scratch"
grep " [ *]\{0,1\}$archive\$" SHA256SUMS >sum || { echo "install.sh: SHA256SUMS does not name $archive" >&2; exit 1; }
if command -v sha256sum >/dev/null 2>&1; then sha256sum -c sum >/dev/null; else shasum -a 256 -c sum >/dev/null; fi ||
    { echo "install.sh: $archive is not what SHA256SUMS says; nothing was installed" >&2; exit 1; }
tar xzf "$archive"
mkdir -p "$to"
# Moved into place whole: a running shardfit is not cut short.
cp "shardfit-$target/shardfit" "$to/.shardfit.new"
chmod 755 "$to/.shardfit.new"
mv "$to/.shardfit.new" "$to/shardfit"
"$to/shardfit" --version
case ":$PATH:" in *":$to:"*) ;; *) echo "note: $to is not in PATH" ;; esac
