#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Bots on two nodes look for company: random joins across the nodes, rooms registered and found by type, by a directory on the HTTP
# node; while nothing happens, while a node is drained and another one begins, while a node is killed.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"
. "$TEST_SRCDIR/tests/cluster/cluster.sh"

up 2
find=("${bot[@]}" find --endpoint "$cluster_url" --bots 60 --room-size 6 --json --quiet)

# of_calm FIELD MIN MAX: that figure of the first run.
of_calm()
{
	grep -oE "\"$1\": [0-9]+" "$work/calm" | head -n 1 | awk -v min="$2" -v max="$3" '{ print } $2 >= min && $2 <= max { ok = 1 } END { exit !ok }'
}

# finds ARGUMENT...: a run in the background, and its end.
finds()
{
	timeout 120 "${find[@]}" "$@" >"$work/find.figures" 2>"$work/find.log" </dev/null &
	pid[find]=$!
}

finds_end()
{
	local rc=0

	wait "${pid[find]}" || rc=$?
	unset "pid[find]"
	cat "$work/find.log" "$work/find.figures"
	return $rc
}

# test: calm
claim "60 bots on two nodes join rooms and find them, ten times each" answers 0 '"rounds": 600, ' '"overfull": 0, "turned_away": 0, "found": 600' \
	'"missing": 0, "wrong_calm": 0' -- "${find[@]}" --rate 5 --messages 10
cp "$work/said" "$work/calm"
claim "rooms are shared by both nodes: bots were moved to where they were" of_calm moves 20 600
claim "of 600 joins few made a room" of_calm created 1 60

# test: drained
finds --rate 2 --seconds 12
seconds 2
claim "one of the nodes is drained, and ends well" within 10 stop udp2
claim "another one begins" cluster_node udp2 udp --set mesh.port=0 --set udp.port=0
claim "all rooms were found meanwhile, under their new ids too" finds_end

# test: killed
# Whoever is in no room then has nobody to follow, and is disconnected.
finds --rate 2 --seconds 12 --max-disconnected 60
seconds 2
killed udp1
claim "a node was killed; nothing went wrong but with those who missed it" finds_end
claim "members of rooms went on with them" grep -qE '"takeovers": [1-9]' "$work/find.figures"
claim "the rest ends well" cluster_end
finish
