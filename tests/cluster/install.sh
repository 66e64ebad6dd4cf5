#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An installed tree, moved elsewhere, run with no environment at all.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"

# nothing_found COMMAND...: it prints nothing.
nothing_found()
{
	local out

	out=$("$@")
	[ -z "$out" ] || { echo "$out"; return 1; }
}

# no_build_paths: no library, program or text of the tree points into the build or source tree.
no_build_paths()
{
	local file

	nothing_found grep -rlIF -e "$TEST_BUILDDIR" -e "$TEST_SRCDIR" "$tree" || return 1
	while IFS= read -r file; do
		readelf -d "$file" 2>/dev/null | grep -E 'RUNPATH|RPATH' | grep -F -e "$TEST_BUILDDIR" -e "$TEST_SRCDIR" && return 1
	done < <(find "$tree" -type f \( -name '*.so*' -o -perm -u+x \))
	return 0
}

install_tree
tree=$work/tree
for name in bin/diarkisd bin/diarkis-bot bin/diarkis-cli bin/diarkis-health-check libexec/health-check bin/diarkis-mars-stats bin/diarkisctl \
	lib/libdiarkis.so lib/diarkis/plugins/room.so include/diarkis/plugin.h \
	include/diarkis/room.h lib/pkgconfig/diarkis.pc etc/diarkis/diarkis.conf \
	etc/diarkis/cluster/mars.conf etc/diarkis/cluster/udp.conf etc/diarkis/cluster/mesh.inc; do
	claim "the tree has $name" test -e "$tree/$name"
done
claim "nothing in it points to where it was built" no_build_paths
claim "nothing in it may be written by everybody" nothing_found find "$tree" -perm -o+w ! -type l
claim "diarkisd tells its version" answers 0 "diarkisd " -- env -i "$tree/bin/diarkisd" --version
claim "its own plugins are found" answers 0 "($tree/" room udp -- env -i "$tree/bin/diarkisd" --plugins
claim "its own configuration is found" answers 0 "good" -- env -i "$tree/bin/diarkisd" -t

start node env -i "$tree/bin/diarkisd" "${free_ports[@]}" || exit 1
for type in UDP TCP; do
	claim "bots of the tree talk over $type" \
		env -i "$tree/bin/diarkis-bot" room --endpoint "$url" --type $type --bots 8 --room-size 4 --messages 20 --reliable --quiet
done
claim "the command line client of the tree talks" answers 0 "push room.broadcast: hello" -- \
	env -i "$tree/bin/diarkis-cli" -e "$url" room create 2 then room broadcast hello then expect 1 then room leave
claim "the health check of the tree answers, under its old name too" answers 0 "well" -- \
	env -i "$tree/libexec/health-check" "$(address udp)" out
claim "the node ends well" stop node

mv "$tree" "$work/once more"
tree="$work/once more"
start node env -i "$tree/bin/diarkisd" "${free_ports[@]}" || exit 1
claim "the tree was moved again: bots still talk" \
	env -i "$tree/bin/diarkis-bot" room --endpoint "$url" --bots 4 --room-size 4 --messages 5 --reliable --quiet
claim "the node ends well" stop node
finish
