#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every command that clients have, called by name against a real node with all modules: over UDP by ann, over TCP by bob. Both do
# all of it, and each hears what the other's commands push. A command that this script does not call fails it.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"

cat >"$work/calls.conf" <<END
plugins = {
	http = { address = "127.0.0.1"; port = 0; };
	endpoint = { };
	udp = { address = "127.0.0.1"; port = 0; };
	tcp = { address = "127.0.0.1"; port = 0; };
	mesh = { address = "127.0.0.1"; port = 0; marsAddress = [ ]; };
	mars = { };
	user = { }; datacapsule = { }; dive = { }; dm = { }; session = { }; group = { support = true; }; notifier = { };
	room = { support = true; state_interval_ms = 17; expose_puffer_commands = true; };
};
END
TMPDIR=$work start node "${diarkisd[@]}" -c "$work/calls.conf" || exit 1
url=http://$(address http)
declare -A in out read_to called

# player NAME TYPE: a client whose commands are written to it one by one.
player()
{
	mkfifo "$work/$1.in"
	"${cli[@]}" -j -e "$url" -t "$2" -u "$1" <"$work/$1.in" >"$work/$1.out" 2>&1 &
	pid[$1]=$!
	exec {fd}>"$work/$1.in"
	in[$1]=$fd
	read_to[$1]=0
}

# said NAME TEXT: waits up to 10 s for a line with the text among those that were not looked at yet; shows what there was.
said()
{
	local until=$((SECONDS + 10))

	until tail -n +$((read_to[$1] + 1)) "$work/$1.out" | grep -qF -- "$2"; do
		kill -0 "${pid[$1]}" || { echo "$1 has ended"; break; }
		[ $SECONDS -lt $until ] || break
		echo "wait 0.02" >&"${in[$1]}"
		read -r -t 0.03 <>"$work/never" || true
	done
	tail -n +$((read_to[$1] + 1)) "$work/$1.out"
	tail -n +$((read_to[$1] + 1)) "$work/$1.out" | grep -qF -- "$2" || { echo "this is missing: $2"; return 1; }
}

# calls NAME COMMAND ARGUMENTS ANSWER [OTHER PUSH]...: the answer has that text, and the others (or the caller) hear those.
calls()
{
	local who=$1 command=$2 arguments=$3 answer=$4 n

	shift 4
	called[$command]=1
	for n in "${!in[@]}"; do
		read_to[$n]=$(wc -l <"$work/$n.out")
	done
	echo "call $command $arguments" >&"${in[$who]}"
	# a quiet command has no answer: the next one's says that it was taken
	[ -n "$answer" ] || echo "status" >&"${in[$who]}"
	said "$who" "${answer:-"\"event\":\"connected\""}" || return 1
	while [ $# -gt 0 ]; do
		said "$1" "$2" || return 1
		shift 2
	done
}

ok() { echo "\"status\":\"ok\",\"name\":\"$1\""; }

player ann UDP
player bob TCP
for p in ann bob; do
	echo connect >&"${in[$p]}"
	claim "$p is connected" said $p '"event":"connected"'
done

# id_of NAME: the id that the last answer brought.
id_of()
{
	tail -n +$((read_to[$1] + 1)) "$work/$1.out" | sed -n 's/.* \?\(room\|group\|session\)=\([0-9a-f-]*\)".*/\2/p' | tail -n 1
}

# everything A B: A calls all of it; B is the other one.
everything()
{
	local a=$1 b=$2 room group session

	claim "$a creates a room" calls "$a" room.create "4 false true 60 0 0" "$(ok room.create)"
	room=$(id_of "$a")
	claim "$b joins it" calls "$b" room.join "$room hi" "$(ok room.join)" "$a" '"name":"room.joined","payload":"hi"'
	claim "room.owner_id" calls "$a" room.owner_id "$room" "owner=$a"
	claim "room.member_ids" calls "$a" room.member_ids "$room" "members=$a,$b owner=$a"
	claim "room.count_members" calls "$a" room.count_members "$room" "current=2 max_members=4"
	claim "room.backups" calls "$a" room.backups "$room" "$(ok room.backups)"
	claim "room.broadcast" calls "$a" room.broadcast "true $room all" "" "$b" '"name":"room.broadcast","payload":"all"' \
		"$a" '"name":"room.broadcast","payload":"all"'
	claim "room.message" calls "$a" room.message "$b 6869 true $room" "" "$b" '"name":"room.message","payload":"hi"'
	claim "room.relay" calls "$a" room.relay "6869 true $room" "" "$b" '"cmd":18,'
	claim "room.relay_to" calls "$a" room.relay_to "$b 6869 true $room" "" "$b" '"cmd":23,'
	claim "room.relay_profile" calls "$a" room.relay_profile "6869 true $room" "latency_ms=" "$b" '"cmd":19,'
	claim "room.relay_to_profile" calls "$a" room.relay_to_profile "$b 6869 true $room" "latency_ms=" \
		"$b" '"cmd":24,'
	claim "room.reserve" calls "$a" room.reserve "zoe $room" "$(ok room.reserve)"
	claim "room.cancel_reserve" calls "$a" room.cancel_reserve "zoe $room" "$(ok room.cancel_reserve)"
	claim "room.update_props" calls "$a" room.update_props "k $room true 76" "$(ok room.update_props)" "$b" 'names=k'
	claim "room.get_props" calls "$b" room.get_props "k $room" "names=k values=76"
	claim "room.incr_prop" calls "$a" room.incr_prop "5 n $room true" "value=5" "$b" "name=n room=$room value=5"
	claim "room.state_update" calls "$a" room.state_update "true false $room s 7" "" "$b" '"name":"room.states"'
	claim "room.state_incr" calls "$a" room.state_incr "true false $room t 3" "value=3" "$b" '"name":"room.states"'
	claim "room.state_sync" calls "$b" room.state_sync "$room" "$(ok room.state_sync)" "$b" '"name":"room.states"'
	claim "room.object_update" calls "$a" room.object_update "2 true $room o 0001000178" '"name":"room.object_update"'
	claim "room.object_sync" calls "$b" room.object_sync "$room" '"name":"room.object_sync"'
	claim "room.chat" calls "$a" room.chat "hello $room" "$(ok room.chat)" "$b" "message=hello sender=$a"
	claim "room.chat_log" calls "$b" room.chat_log "$room" "$(ok room.chat_log)"
	claim "room.register" calls "$a" room.register "meta name 7" "$(ok room.register)"
	claim "room.find" calls "$b" room.find "5 7" "$(ok room.find)"
	claim "room.migrate, alone" calls "$a" room.migrate "" '"status":"bad","name":"room.migrate"'
	claim "room.leave" calls "$a" room.leave "$room bye" "$(ok room.leave)" "$b" '"name":"room.left","payload":"bye"' \
		"$b" "owner=$b"
	claim "$b leaves, too" calls "$b" room.leave "$room" "$(ok room.leave)"
	claim "room.rand_create" calls "$a" room.rand_create "0 3 6869 30" "joined=false"
	claim "room.rand_join" calls "$b" room.rand_join "0 3 6869 30" "joined=true" "$a" '"name":"room.joined"'
	room=$(id_of "$b")
	for n in "$a" "$b"; do
		claim "$n leaves it" calls "$n" room.leave "$room" "$(ok room.leave)"
	done

	claim "room.puffer_create" calls "$a" room.puffer_create "false 0 true 4 60" "$(ok room.puffer_create)"
	room=$(id_of "$a")
	claim "room.puffer_join" calls "$b" room.puffer_join "6869 $room" "$(ok room.puffer_join)"
	claim "room.puffer_broadcast" calls "$a" room.puffer_broadcast "6869 true $room" "" "$b" '"name":"room.broadcast","payload":"hi"'
	claim "room.puffer_leave" calls "$a" room.puffer_leave "00 $room" "$(ok room.puffer_leave)"
	claim "$b leaves, too" calls "$b" room.puffer_leave "00 $room" "$(ok room.puffer_leave)"

	claim "group.rand_join" calls "$a" group.rand_join "true 0 6869 30" "$(ok group.rand_join)"
	group=$(id_of "$a")
	claim "$a leaves it" calls "$a" group.leave "$group 00" "$(ok group.leave)"
	claim "group.create" calls "$a" group.create "true 0 true 30" "$(ok group.create)"
	group=$(id_of "$a")
	claim "group.join" calls "$b" group.join "$group 6869" "$(ok group.join)" "$a" '"name":"group.joined","payload":"message=6869'
	claim "group.info" calls "$b" group.info "true $group" "count=2"
	claim "group.broadcast" calls "$a" group.broadcast "$group 6869 true" "" "$b" '"name":"group.message","payload":"message=6869'
	claim "group.leave" calls "$a" group.leave "$group 627965" "$(ok group.leave)" "$b" '"name":"group.left","payload":"message=627965'
	claim "$b leaves it" calls "$b" group.leave "$group 00" "$(ok group.leave)"

	claim "session.create" calls "$a" session.create "1 4 30" "$(ok session.create)"
	session=$(id_of "$a")
	claim "session.invite" calls "$a" session.invite "1 $(printf '%08x' ${#b})$(printf %s "$b" | od -An -tx1 | tr -d ' \n') come" \
		"$(ok session.invite)" "$b" '"name":"session.invited"'
	claim "session.join" calls "$b" session.join "1 $session" "$(ok session.join)" "$a" '"name":"session.joined"'
	claim "session.broadcast" calls "$a" session.broadcast "1 all" "" "$b" '"name":"session.broadcast","payload":"all"'
	claim "session.message" calls "$a" session.message "$b 6869 1" "" "$b" '"name":"session.message","payload":"hi"'
	claim "session.member_ids" calls "$a" session.member_ids 1 "type=1 uids=000000"
	claim "session.count_members" calls "$a" session.count_members 1 "current=2 max_members=4"
	claim "session.info" calls "$b" session.info 1 "owner=$a"
	claim "session.kick" calls "$a" session.kick "1 $b" "$(ok session.kick)" "$b" '"name":"session.kicked"'
	claim "session.leave" calls "$a" session.leave 1 "$(ok session.leave)"

	claim "dm.connect" calls "$a" dm.connect "$b" "$(ok dm.connect)"
	claim "dm.send" calls "$a" dm.send "6869 true $b" "$(ok dm.send)" "$b" "message=6869 uid=$a"
	claim "dm.disconnect" calls "$a" dm.disconnect "627965 $b" "$(ok dm.disconnect)" "$b" '"name":"dm.disconnected"'
}

# test: by_udp
everything ann bob
# test: by_tcp
everything bob ann

# test: all_of_them
names=$(timeout 20 "${cli[@]}" commands | sed -n 's/^\([a-z]*\.[a-z_]*\) .*/\1/p')
uncalled()
{
	local name left=0

	for name in $names; do
		[ -n "${called[$name]-}" ] || { echo "$name is never called"; left=1; }
	done
	[ "$(wc -w <<<"$names")" -ge 40 ] || { echo "too few commands: $names"; left=1; }
	return $left
}
claim "there is no command that was not called" uncalled
for p in ann bob; do
	echo quit >&"${in[$p]}"
done
claim "the node ends well" stop node
finish
