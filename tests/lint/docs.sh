#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Pages say what is: code shown in docs/PLUGIN.md stands in the examples, line counts are those of today, links and the names
# of files, functions and tests lead somewhere.
# shellcheck source=lib.sh
. "$TEST_SRCDIR/tests/lint/lib.sh"

# Fences marked with a file (```c attack.c) hold lines of that file, in its order.
shown()
{
	awk -v file="$1" -v fence="$2" '
		BEGIN { while ((getline line < file) > 0) text[++n] = line }
		/^```/ { inside = ($0 == fence); at = 0; next }
		inside {
			for (i = at + 1; i <= n; i++)
				if (text[i] == $0)
					break
			if (i > n)
				print FILENAME ":" FNR ": this line is not in " file " (any more): " $0
			else
				at = i
		}' docs/PLUGIN.md
}
while read -r line; do
	complain "$line"
done < <(
	shown examples/attack/attack.c '```c attack.c'
	shown examples/attack/test_attack.c '```c test_attack.c'
	shown examples/attack/colyseus/server.mjs '```js server.mjs'
)

while IFS= read -r line; do
	grep -qxF -- "$line" docs/PLUGIN.md ||
		complain "docs/PLUGIN.md: the line counts are not those of examples/attack/compare.sh --no-run; expected: $line"
done < <(bash examples/attack/compare.sh --no-run | sed 's/ *$//')

# Links between pages.
for page in README.md HACKING.md NEWS.md docs/*.md docs/notes/*.md; do
	[ -e "$page" ] || continue
	while read -r target; do
		[ -e "$(dirname "$page")/$target" ] || complain "$page: links to $target, which is not there."
	done < <(grep -oE '\]\([^)#]+' "$page" | sed 's/^](//' | grep -v '^https\?:')
done

# Files that pages name in code font: `kernel/life.c`, `tests/lint/style.sh`, ...
for page in README.md HACKING.md docs/*.md docs/notes/*.md; do
	[ -e "$page" ] || continue
	while read -r file; do
		[ -e "$file" ] || complain "$page: names $file, which is not there."
	done < <(grep -oE '`(kernel|wire|plugins|tests|tools|examples|client|diarkisd|etc|include)/[A-Za-z0-9_./-]+\.(c|h|sh|md|conf|txt|mk)`' \
		"$page" | grep -v NAME | tr -d '`' | sort -u)
done

# Functions of docs/TOUR.md and tests of docs/FEATURES.md exist under that name.
if [ -e docs/TOUR.md ]; then
	while read -r name; do
		grep -rqwF --include='*.[ch]' -- "$name" kernel wire plugins include client diarkisd ||
			complain "docs/TOUR.md: names $name(), which is in no source file."
	done < <(grep -oE '`[a-z_0-9]+\(\)`' docs/TOUR.md | tr -d '`()' | sort -u)
fi
if [ -e docs/FEATURES.md ]; then
	while read -r file name; do
		grep -qE "START_TEST\($name\)|^# test: $name\$" "$file" 2>/dev/null ||
			complain "docs/FEATURES.md: names the test $name in $file, which is not there."
	done < <(grep -oE '`[a-zA-Z0-9_/.-]+\.(c|sh):[a-z_0-9]+`' docs/FEATURES.md | tr -d '`' | tr ':' ' ' | sort -u)
fi
finish "docs/PRINCIPLES.md, 18: pages say what is."
