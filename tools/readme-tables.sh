#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Usage: readme-tables.sh [--check] BUILD-DIR
#
# The tables in the READMEs of the plugins, between <!-- generated --> and <!-- /generated -->, are what diarkisd --explain
# prints: options, commands and counters are declared once, in the plugin. Writes those that differ; with --check only says
# so, and fails. Run from the source tree.
set -eu

check=false
[ "${1-}" != --check ] || { check=true; shift; }
[ $# -eq 1 ] || { echo "Usage: readme-tables.sh [--check] BUILD-DIR" >&2; exit 2; }
build=$1
tables=$(mktemp)
fresh=$(mktemp)
trap 'rm -f "$tables" "$fresh"' EXIT
rc=0

for plugin in "$build"/plugins/.libs/*.so; do
	name=$(basename "$plugin" .so)
	for readme in plugins/"$name"/README.md plugins/*/"$name"/README.md; do
		[ ! -e "$readme" ] || break
	done
	[ -e "$readme" ] || { echo "$name has no README.md beside its code."; rc=1; continue; }
	"$build/diarkisd/diarkisd" -p "$build/plugins/.libs" --explain "$name" --markdown >"$tables"
	awk -v tables="$tables" '
		/^<!-- \/generated -->/ { inside = 0 }
		!inside { print }
		/^<!-- generated -->/ {
			inside = found = 1
			while ((getline line < tables) > 0)
				print line
		}
		END { exit !found }' "$readme" >"$fresh" || {
		echo "$readme: lacks the lines <!-- generated --> and <!-- /generated -->."
		rc=1
		continue
	}
	cmp -s "$fresh" "$readme" && continue
	if $check; then
		echo "$readme: its tables are not those of $name any more."
		rc=1
	else
		cat "$fresh" >"$readme"
		echo "$readme: new tables."
	fi
done
exit $rc
