#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A node with a thousand players is drained: all of them are on another node before its time is over, and lose nothing.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"
. "$TEST_SRCDIR/tests/cluster/cluster.sh"

# test: thousand
up 1
bots crowd --bots 1000 --room-size 10 --rate 2 --reliable --expect-lossless --max-lost 0 --max-doubled 0 --max-rooms-lost 0 --max-disconnected 0
cluster_node udp2 udp --set mesh.port=0 --set udp.port=0 || exit 1
claim "another node is there" cluster_sees 2
claim "the node with a thousand players ends well, inside its 10 s" within 10 stop udp1
seconds 1
claim "none of them lost a message or its connection" bots_end crowd
claim "the rest ends well" cluster_end

# test: deadline
DIARKIS_SHUTDOWN_TIMEOUT=3 up 1
bots left --bots 100 --room-size 10 --rate 2 --reliable --max-rooms-lost 10 --max-disconnected 100
claim "without another node it waits for them until its time is over, and ends well" within 5 stop udp1
claim "they were told that it shut down" bots_end left
claim "... all of them, each by a last word" grep -qE '^100 +ended +the server said that it shuts down' "$work/left.figures"
claim "the rest ends well" cluster_end
finish
