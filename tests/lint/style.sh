#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What can be said about style without understanding the code; the rest is clang-format's and the reader's business.
# shellcheck source=lib.sh
. "$TEST_SRCDIR/tests/lint/lib.sh"

# The licence line: the first of a file, the second of a script.
for file in $(source_files '*.[ch]' '*.sh' '*.mk' '*.py' '*.conf' '*.h.in') m4/diarkis.m4 dev .ci/run configure.ac Makefile.am; do
	[ ! -e "$file" ] || head -n 2 "$file" | grep -q 'SPDX-License-Identifier: Apache-2\.0' ||
		complain "$file: the licence line is missing; expected at the top: SPDX-License-Identifier: Apache-2.0"
done

# Comments and literals are blanked before looking for // and for banned calls, so that URLs and prose do not count.
mapfile -t sources < <(source_files '*.[ch]' '*.h.in')
while read -r line; do
	complain "$line"
done < <(awk '
	function complain(text) { printf "%s:%d: %s\n", FILENAME, FNR, text }

	# The line without block comments, string and character literals; in_comment lives across lines.
	function code_of(line,    out, c, two, quote, i, n) {
		n = length(line)
		for (i = 1; i <= n; i++) {
			c = substr(line, i, 1)
			two = substr(line, i, 2)
			if (in_comment) {
				if (two == "*/") {
					in_comment = 0
					i++
				}
			} else if (quote != "") {
				if (c == "\\")
					i++
				else if (c == quote)
					quote = ""
			} else if (two == "/*") {
				in_comment = 1
				i++
			} else if (c == "\"" || c == "\047") {
				quote = c
			} else {
				out = out c
			}
		}
		return out
	}

	# Columns on a screen: a tab goes to the next multiple of eight; a byte that continues a UTF-8 character takes none.
	function columns(line,    parts, n, i, col) {
		gsub(/[\200-\277]/, "", line)
		n = split(line, parts, "\t")
		for (i = 1; i < n; i++)
			col = int((col + length(parts[i])) / 8 + 1) * 8
		return col + length(parts[n])
	}

	FNR == 1 { in_comment = 0 }
	{
		if (length($0) > 60 && columns($0) > 132)
			complain("is " columns($0) " columns wide; the limit is 132.")
		if ($0 ~ /[ \t]$/)
			complain("ends in white space.")
		code = code_of($0)
		if (code ~ /\/\//)
			complain("has a // comment; the house writes /* */.")
		if (match(code, /(^|[^a-zA-Z0-9_.>])(strcpy|stpcpy|strcat|sprintf|vsprintf|strtok|gets|alloca|atoi|atol|atof)[ \t]*\(/)) {
			name = substr(code, RSTART, RLENGTH)
			gsub(/[^a-z]/, "", name)
			complain("calls " name "(), which cannot say where to stop or that it failed.")
		}
		if ($0 ~ /TODO|FIXME|(^|[^X])XXX([^X]|$)/)
			complain("promises something for later; do it or leave it out.")
	}' "${sources[@]}")
finish "HACKING.md, Style."
