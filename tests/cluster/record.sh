#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Recorded rooms: bots talk in rooms of a node that is killed in the middle; from what it left behind the rooms are played again,
# and everything comes of them that came of them then.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"
replay=("$TEST_BUILDDIR/tools/diarkis-replay" --plugins "$TEST_BUILDDIR/plugins/.libs")
# What diarkis-cli finds beside itself in a build tree is no script of libtool's.
beside=(DIARKIS_TEST_PLUGINS="$TEST_BUILDDIR/plugins/.libs" LD_LIBRARY_PATH="$TEST_BUILDDIR/kernel/.libs:$TEST_BUILDDIR/tests/harness/.libs")
mkdir "$work/rooms"

start_default recorded --set room.record=true --set room.record_dir="$work/rooms"
"${bot[@]}" room --endpoint "$url" --type TCP --bots 8 --room-size 4 --messages 1000000 --rate 50 --reliable \
	>"$work/bot.out" 2>"$work/bot.log" </dev/null &
pid[bot]=$!
claim "the bots talk" log_has bot running
send recorded KILL
wait "${pid[recorded]}" 2>/dev/null # killed: its exit code says nothing
unset "pid[recorded]"
wait "${pid[bot]}" 2>/dev/null
unset "pid[bot]"
claim "two rooms were left behind" test "$(find "$work/rooms" -name '*.room' | wc -l)" -eq 2
for room in "$work"/rooms/*.room; do
	claim "a room is played again" answers 0 "records of" "all equal" -- "${replay[@]}" "$room"
done
printf 'X' | dd of="$room" bs=1 seek=112 conv=notrunc 2>/dev/null
claim "a file that was changed is refused" answers 78 "a checksum is wrong: the file was changed, or is incomplete" -- \
	"${replay[@]}" "$room"
claim "so is one that is none" answers 78 "it does not begin as a recording of a room does" -- \
	"${replay[@]}" "$TEST_SRCDIR/README.md"
claim "and one that is not there" answers 1 "cannot be read" -- "${replay[@]}" "$work/nothing"
claim "usage" answers 2 "diarkis-replay --help" -- "${replay[@]}"
claim "help" answers 0 "Usage: diarkis-replay" "--json" -- "${replay[@]}" --help
room=$(ls "$work"/rooms/*.room | head -n 1)
claim "an operator's command does the same" answers 0 "all equal" -- \
	env "${beside[@]}" "${cli[@]}" room.replay "$room"
claim "and as JSON" answers 0 '"outcome":"same"' '"checks":' -- \
	env "${beside[@]}" "${cli[@]}" --json room.replay "$room"
claim "with the tool's exit code" answers 78 '"outcome":"refused"' -- \
	env "${beside[@]}" "${cli[@]}" --json room.replay "$TEST_SRCDIR/README.md"
claim "and wants a file" answers 2 "Expected room.replay FILE" -- "${cli[@]}" room.replay
claim "what is used of a recording is a recording" answers 0 "all equal" -- "${replay[@]}" -o "$work/short" "$room"
claim "of its own length" test "$(stat -c %s "$work/short")" -lt "$(stat -c %s "$room")"
claim "that is played too" answers 0 "all equal" -- "${replay[@]}" "$work/short"
truncate -s -5 "$work/short"
claim "and without its end, up to there" answers 0 "its last record is torn and left out" -- "${replay[@]}" "$work/short"
claim "one of another version is refused" answers 78 "version 1 of the layout" -- \
	"${replay[@]}" "$TEST_SRCDIR/tests/fuzz/corpus/record/version1"

# A node that goes down in good order leaves nothing behind.
rm "$work"/rooms/*
start_default well --set room.record=true --set room.record_dir="$work/rooms"
"${bot[@]}" room --endpoint "$url" --type TCP --bots 4 --room-size 4 --messages 20 --reliable >"$work/bot.out" 2>&1 </dev/null
claim "a node goes down" stop well
claim "and nothing is left of its rooms" test -z "$(ls "$work/rooms")"
finish
