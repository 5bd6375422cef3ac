#!/bin/bash
# No file of the project may depend on one developer's machine: no home folders, no scratch folders, no private
# addresses. Programs' well-known places (/usr, /etc, /var, /proc, /media) are fine.
#
#   check_machine_paths.sh SOURCE_DIR
set -euo pipefail
cd "$1"

list_files() {
    if git rev-parse --is-inside-work-tree > /dev/null 2>&1; then
        git ls-files --cached --others --exclude-standard
    else
        find . -type f ! -path './build/*' ! -path './.git/*'
    fi
}

# The bracketed letters keep this file from matching itself.
pattern='(^|[^A-Za-z0-9_.-])/([h]ome/|[r]oot/|[w]ork/|[m]nt/[a-z]+/)|/[t]mp/(build|clone)-|\b(10\.[0-9]+|192\.[1]68|172\.(1[6-9]|2[0-9]|3[01]))\.[0-9]+\.[0-9]+\b'
hits=0
while IFS= read -r file; do
    # A listed file may have been removed, or be a folder of another repository.
    [ -f "$file" ] || continue
    if grep -HnIE "$pattern" "$file"; then hits=$((hits + 1)); fi
done < <(list_files)
[ "$hits" = 0 ] || { echo "$hits files name a place of one machine" >&2; exit 1; }
