#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Players who do nothing but write to each other, on three nodes. One is drained and begins anew: every message arrives. Another one
# is killed: what is lost was on its way to or through it before anybody could know, and who wrote from there lost its connection;
# everybody else is told of each message that did not arrive.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"
. "$TEST_SRCDIR/tests/cluster/cluster.sh"

diarkisd+=(-p "$TEST_BUILDDIR/examples/.libs")
mkdir "$work/conf"
cp "$cluster_conf/mesh.inc" "$cluster_conf/mars.conf" "$TEST_SRCDIR/tests/cluster/mixed/"*.conf "$work/conf/"
cluster_conf=$work/conf
figures='"(sent|delivered|lost|lost_calm|lost_told|told|disconnected)": [0-9]+'

# writers NAME BOUND...: returns when they write.
writers()
{
	local name=$1

	shift
	: >"$work/$name.log"
	timeout 900 "${bot[@]}" dm --endpoint "$cluster_url" --bots 300 --rate 2 --reliable --visitors 10 --seconds 800 --max-doubled 0 --json \
		"$@" >"$work/$name.figures" 2>"$work/$name.log" </dev/null &
	pid[$name]=$!
	log_has "$name" running
}

# shows NAME: in short.
shows()
{
	grep -oE "$figures" "$work/$1.figures" | tr '\n' ' '
	echo
}

# figure_is NAME KEY NUMBER
figure_is()
{
	shows "$1"
	grep -qE "\"$2\": $3," "$work/$1.figures"
}

# ready: nodes have found out which of them keeps whose place.
ready()
{
	local until=$((SECONDS + 30))

	until timeout 60 "${bot[@]}" dm --endpoint "$cluster_url" --bots 8 --messages 1 --reliable --quiet --prefix first-; do
		[ $SECONDS -lt $until ] || return 1
		a_moment
	done
}

up 3
claim "users find each other" ready

# test: drained
writers drain --max-lost 0 --max-disconnected 0
seconds 3
claim "a node is drained, and ends well" within 10 stop udp3
claim "it begins anew" cluster_node udp3 udp --set mesh.port=0 --set udp.port=0
claim "and is found" cluster_sees 3
seconds 3
claim "no message was lost" bots_end drain
claim "and none failed" figure_is drain told 0
shows drain

# test: killed
writers kill --max-lost-calm 0
seconds 3
killed udp1
seconds 8
claim "no message was lost but those of senders on the node that was killed" bots_end kill
claim "... who are disconnected" grep -qE '"disturbances": \[\{' "$work/kill.figures"
shows kill
claim "the rest ends well" cluster_end
finish
