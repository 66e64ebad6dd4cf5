#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The kernel is small: what grows belongs into a plugin. The core, the reading of configuration and the seam to the world
# have a limit each, comments and blank lines included.
# shellcheck source=lib.sh
. "$TEST_SRCDIR/tests/lint/lib.sh"

# count DIR LIMIT: lines of the .c and .h files in DIR itself.
count()
{
	local lines

	lines=$(find "$1" -maxdepth 1 -name '*.[ch]' -exec cat {} + | wc -l)
	[ "$lines" -le "$2" ] || complain "$1/ has $lines lines; the limit is $2."
}

count kernel 5000
count kernel/conf 2200
count kernel/env 2600
finish "The kernel knows no feature: move the newest one into a plugin, or make two places share their logic."
