#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A realtime node is killed, again and again, under players: the others see it within 3 s; rooms with a replica go on within 5 s,
# and the members of rooms without one are told within 4 s. All of it as the players' programs see it.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"
. "$TEST_SRCDIR/tests/cluster/cluster.sh"

# a_kill NAME OTHER...: that node is killed, and seen dead by the others.
a_kill()
{
	local name=$1 at

	shift
	at=$(address mesh "$name")
	killed "$name"
	all_see 3000 "$at" "DEAD" "$@"
}

# test: seen
up 3
n=$(either 30 3)
for ((i = 1; i <= n; i++)); do
	claim "kill $i of $n is seen by all others within 3 s" a_kill udp3 mars http udp1 udp2
	claim "and the node that follows it is found" cluster_node udp3 udp --set mesh.port=0 --set udp.port=0
	claim "..." cluster_sees 3
done

# test: replicated
bots replicated --bots 60 --room-size 6 --rate 10 --reliable --max-gap-ms 5000 --max-rooms-lost 0 --max-disconnected 0 \
	--max-doubled 0
seconds 2
claim "a node with rooms is killed, and seen" a_kill udp1 mars http udp2 udp3
seconds 6
claim "rooms with a replica went on within 5 s; no message came twice" bots_end replicated
claim "the rest ends well" cluster_end

# test: told
up 3 --set room.replicas=0
bots single --bots 60 --room-size 6 --rate 10 --reliable --max-told-ms 4000 --max-doubled 0 --max-rooms-lost 10
seconds 2
claim "a node with rooms is killed, and seen" a_kill udp1 mars http udp2 udp3
seconds 4
claim "without replicas their members were told within 4 s" bots_end single
claim "some rooms were lost, since there was no replica" grep -qE '^rooms_lost +[1-9]' "$work/single.figures"
claim "the rest ends well" cluster_end
finish
