#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Usage: compare.sh [--no-run]
#
# The same command for Colyseus: installs the versions of colyseus/package-lock.json from the npm registry into a temporary
# folder, runs the room against two clients, and counts lines of both sides. --no-run counts only. A line counts when
# something other than a comment stands on it; import and #include lines count too.
set -eu
cd "$(dirname "$(readlink -f "$0")")"

# code_lines FILE: C and JavaScript alike.
code_lines()
{
	awk '
		{ line = $0; sub(/^[ \t]+/, "", line) }
		inside { if (line ~ /\*\//) inside = 0; next }
		line ~ /^\/\*/ { if (line !~ /\*\//) inside = 1; next }
		line == "" || line ~ /^\/\// { next }
		{ n++ }
		END { print n + 0 }' "$1"
}

if [ "${1-}" != --no-run ]; then
	command -v npm >/dev/null || { echo "compare.sh: npm is needed to run the Colyseus side (Debian package npm)." >&2; exit 1; }
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	cp colyseus/* "$work/"
	(cd "$work" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && timeout 60 node check.mjs)
fi
printf '%-36s %s\n' "lines of code" "" \
	"  attack.c" "$(code_lines attack.c)" \
	"  colyseus/server.mjs" "$(code_lines colyseus/server.mjs)" \
	"lines of test" "" \
	"  test_attack.c" "$(code_lines test_attack.c)" \
	"  colyseus/check.mjs" "$(code_lines colyseus/check.mjs)"
