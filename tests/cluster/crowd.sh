#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two thousand idle users over UDP, several times as long as a silent one would live: none is lost.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"

start_default node --set udp.connectionTTL=3
claim "2,000 idle users" answers 0 "2000 of 2000" "lost          0" -- \
	"${bot[@]}" idle --endpoint "$url" --bots 2000 --ttl 3 --seconds 8 --pid "${pid[node]}" --quiet
cat "$work/said"
claim "the node ends" within 8 stop node
finish
