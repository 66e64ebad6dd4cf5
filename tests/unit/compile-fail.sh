#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What must not compile. Each file in compile_fail compiles as it stands, without a warning; with BREAK defined to one of the
# numbers that occur in it, it must be refused, as an error and not only by -Werror. gcc and clang.
set -u
cd "${TEST_SRCDIR:?run this by make check}" || exit 1
wrong=0 tried=0

complain()
{
	echo "$*"
	wrong=$((wrong + 1))
}

compile()
{
	"$@" -std=gnu11 -Iinclude -I"$TEST_BUILDDIR/include" -fsyntax-only 2>&1
}

for compiler in gcc clang; do
	command -v $compiler >/dev/null || { complain "$compiler is not installed; ./dev setup does it."; continue; }
	for file in tests/unit/compile_fail/*.c; do
		said=$(compile $compiler -Wall -Wextra -Werror -DBREAK=0 "$file") ||
			complain "$compiler refuses $file, which is correct:"$'\n'"$said"
		numbers=$(grep -oE 'BREAK == [0-9]+' "$file" | grep -oE '[0-9]+' | sort -nu)
		[ -n "$numbers" ] || complain "$file breaks nothing."
		for number in $numbers; do
			tried=$((tried + 1))
			if compile $compiler -w -DBREAK="$number" "$file" >/dev/null; then
				complain "$compiler compiles $file with BREAK=$number."
			fi
		done
	done
done
echo "$tried mistakes tried, $wrong complaints."
[ $wrong -eq 0 ] && [ $tried -gt 0 ]
