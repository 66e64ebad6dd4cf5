#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A plugin exports its descriptor and nothing else; libraries export only names with their prefix.
# shellcheck source=lib.sh
. "$TEST_SRCDIR/tests/lint/lib.sh"

exported()
{
	nm -D --defined-only "$1" | awk '{ print $3 }'
}

for plugin in $(built_plugins); do
	name=${plugin##*/}
	name=${name%.so}
	symbols=$(exported "$plugin" | paste -sd ' ')
	[ "$symbols" = "dk_plugin_$name" ] ||
		complain "$name.so: expected exactly one exported symbol, dk_plugin_$name; found: ${symbols:-none}."
done
for library in kernel/.libs/libdiarkis.so client/.libs/libdiarkis-client.so client/.libs/libdiarkis-client-uv.so tests/harness/.libs/libdiarkis-test.so; do
	[ -e "$build/$library" ] || continue
	for symbol in $(exported "$build/$library"); do
		# The three that some linkers give to every library.
		[[ $symbol =~ ^(dkc?_|__bss_start$|_edata$|_end$) ]] || complain "${library##*/}: exports $symbol, which has no dk_ prefix (dkc_ in the client's)."
	done
done
finish "Whatever is exported is a promise: leave out DK_API, or give the symbol its public name."
