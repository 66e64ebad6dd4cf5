#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Clients that follow: to other nodes, with and without their room, from the command line; over TCP as over UDP, when a node is drained
# and when it is killed. cluster_rolling.sh, cluster_drain.sh and the rest do it under load, over UDP.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"
. "$TEST_SRCDIR/tests/cluster/cluster.sh"

# tcp_nodes N: realtime nodes that are reached by TCP, found by the HTTP node.
tcp_nodes()
{
	local until=$((SECONDS + 20)) i state

	for ((i = 1; i <= $1; i++)); do
		cluster_node "tcp$i" tcp --set mesh.port=0 --set tcp.port=0 --set room.replicas=1 || return 1
	done
	until state=$(curl -sSf -m 5 "$cluster_url/state/noderole/TCP") && [[ $state =~ \"onlineCnt\":\ *$1[,}] ]]; do
		[ $SECONDS -lt $until ] || { echo "the HTTP node does not see $1 nodes: $state"; return 1; }
		a_moment
	done
}

# test: cli
up 2
claim "a client goes to another node when it asks" answers 0 "moving 127.0.0.1:" "reconnected" -- \
	"${cli[@]}" -e "$cluster_url" -u zoe move
claim "there is none of another type, and a sentence says so" answers 1 "no other node serves LOBBY" -- \
	"${cli[@]}" -e "$cluster_url" -u zoe move LOBBY
claim "a room goes along with its owner, and is still the same room" answers 0 \
	"answer room.migrate ok" "room_moved" "push room.migrated: oldRoom=" "push room.broadcast: here" "current=1" -- \
	"${cli[@]}" -e "$cluster_url" -u zoe room create 4 then room migrate then wait 0.3 then room broadcast here then expect 2 then room count
claim "who goes alone leaves the room behind" answers 1 "answer room.create ok" "reconnected" "answer room.member_ids bad" -- \
	"${cli[@]}" -e "$cluster_url" -u zoe room create 4 then move then room members

# test: tcp
claim "three nodes for TCP join" tcp_nodes 3
bots streams --type TCP --bots 60 --room-size 6 --rate 10 --reliable --max-doubled 0 --max-rooms-lost 0 --max-disconnected 0 \
	--max-gap-ms 5000 --drain 3
seconds 1
claim "one is drained, and ends well" within 10 stop tcp1
seconds 1
send tcp2 KILL
wait "${pid[tcp2]}" 2>/dev/null
unset "pid[tcp2]"
seconds 5
claim "nobody lost a room or the connection; nothing came twice" bots_end streams
claim "rooms were moved, and found after the kill" grep -qE '^takeovers +[1-9]' "$work/streams.figures"
claim "all others end well" within 12 cluster_end
finish
