#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A node is a value: no plugin and no part of the kernel has a writable global.
# shellcheck source=lib.sh
. "$TEST_SRCDIR/tests/lint/lib.sh"

# Objects in writable sections, the C run time's own excepted. Constants with addresses in them lie in .data.rel.ro.
writable_objects()
{
	objdump -t "$1" | awk '
		$0 !~ / O / && $0 !~ /\.t(data|bss)/ { next }
		match($0, /[ \t]\.(data|bss|tdata|tbss)[ \t]/) {
			section = substr($0, RSTART + 1, RLENGTH - 2)
			name = $NF
			if (name ~ /^(completed\.[0-9]+|__dso_handle|__TMC_END__|\.t?(data|bss))$/)
				next
			print name, section
		}'
}

libraries=$(built_plugins)
[ -e "$build/kernel/.libs/libdiarkis.so" ] && libraries+=" $build/kernel/.libs/libdiarkis.so"
for library in $libraries; do
	while read -r name section; do
		complain "${library##*/}: $name lies in $section."
	done < <(writable_objects "$library")
done
finish "A writable global is shared by all nodes of a process: make it const, or a member of the plugin's state."
