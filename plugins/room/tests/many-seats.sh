#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Random schedules of rooms in great number: plugins/room/tests/many-seats.sh [WORLDS] [BUILD]
#
# Runs test_room_seats over that many clusters, 10,000 unless said otherwise, each with 100 schedules, as many at a time as there are
# processors. Stops at a bad one, which says its number; ROOM_SEATS_WORLD=NUMBER runs it alone.
set -u
cd "$(dirname "$(readlink -f "$0")")/../../.." || exit 1
worlds=${1:-10000} build=${2:-build} block=100
export DIARKIS_TEST_PLUGINS=$PWD/$build/plugins/.libs ROOM_SEATS_WORLDS=$block
for ((first = 1; first <= worlds; first += block)); do
	echo "$first"
done | xargs -P "$(nproc)" -I{} sh -c '
	out=$(ROOM_SEATS_FIRST={} "$0" 2>&1) || { printf "worlds from {}:\n%s\n" "$out"; exit 255; }
	printf "\rworlds from {} are good   "' "$build/plugins/room/tests/test_room_seats" || exit 1
printf '\n%d worlds of 100 schedules are good\n' "$worlds"
