#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The owner of rooms is stopped for 5 s and goes on: the others have taken its rooms over, and what it believes it still owns counts
# no more.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"
. "$TEST_SRCDIR/tests/cluster/cluster.sh"

# test: fenced
up 3
n=$(either 10 1)
for ((i = 1; i <= n; i++)); do
	bots load --bots 60 --room-size 6 --rate 10 --reliable --max-gap-ms 5000 --max-rooms-lost 0 --max-disconnected 0 \
		--max-doubled 0
	seconds 1
	at=$(address mesh udp1)
	send udp1 STOP
	claim "a node that is held is seen as dead" all_see 3000 "$at" DEAD mars http udp2 udp3
	seconds 3
	send udp1 CONT
	claim "when it goes on it is seen to live" all_see 2000 "$at" ALIVE mars http udp2 udp3
	seconds 2
	claim "it gave its rooms up" log_has udp1 "was taken over by node"
	claim "the rooms went on elsewhere; no message came twice" bots_end load
done
claim "all end well" cluster_end
finish
