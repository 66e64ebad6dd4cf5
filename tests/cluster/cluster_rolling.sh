#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every realtime node is restarted, one after the other, while 300 players talk: no room and no message is lost, and nobody hears
# nothing for long.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"
. "$TEST_SRCDIR/tests/cluster/cluster.sh"

# test: restarts
up 3
bots load --bots 300 --room-size 10 --rate 10 --reliable --expect-lossless --max-lost 0 --max-doubled 0 --max-rooms-lost 0 --max-disconnected 0 \
	--max-gap-p99-ms 250 --max-gap-ms 1000
rounds=$(either 3 1)
for ((round = 1; round <= rounds; round++)); do
	for name in udp1 udp2 udp3; do
		seconds 1
		claim "$name is drained and ends well, inside its time" within 10 stop $name
		claim "it begins anew" cluster_node $name udp --set mesh.port=0 --set udp.port=0
		claim "and is found" cluster_sees 3
	done
done
seconds 1
claim "no room, no message lost, none doubled; gaps below 250 ms (p99) and 1 s" bots_end load
cat "$work/load.figures"
claim "all end well" cluster_end
finish
