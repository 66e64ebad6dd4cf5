#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Notices, as an operator gives them and as players hear them: each once, also who comes later, until they end or are deleted.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"
. "$TEST_SRCDIR/tests/cluster/cluster.sh"
ctl=("$TEST_BUILDDIR/tools/diarkisctl")

# task NAME LINE...: a task of the node, by a file and a signal, and what came of it.
task()
{
	local before

	before=$(grep -c "task $1: " "$work/node.log")
	printf '%s\n' "${@:1:$#-1}" >"$work/DIARKIS_SIGUSR1"
	printf '%s' "${!#}" >>"$work/DIARKIS_SIGUSR1"
	send node USR1 || return 1
	while [ "$(grep -c "task $1: " "$work/node.log")" -eq "$before" ]; do
		a_moment
	done
	grep "task $1: " "$work/node.log" | tail -n 1 | grep -F "task $1: ok"
}

# hear FIGURES OPTION...: bots that come now hear what that says. Their heartbeats are five a second.
hear()
{
	local figures=$1

	shift
	answers 0 "$figures" -- "${bot[@]}" notifier --endpoint "$url" --bots 20 --seconds 2 --echo 200 --json --quiet --max-doubled 0 \
		--max-lost 0 "$@"
}

# test: one node
export TMPDIR=$work
start_default node
claim "a notice, by a task" task notifier.notify one "" 60000 false "a maintenance"
claim "one that is to come for sure" task notifier.notify two "" 60000 true "and an event"
not()
{
	! "$@"
}
claim "its id is not taken twice" not task notifier.notify two "" 60000 true "something else"
claim "over UDP who comes later hears both, once" hear '"notices": 2, "reliable": 1, "heard": 40, "least": 2, "lost": 0, "lost_calm": 0, "faint": 0, "duplicated": 0'
claim "over TCP, too" hear '"notices": 2, "reliable": 2, "heard": 40, "least": 2, "lost": 0, "lost_calm": 0, "faint": 0, "duplicated": 0' --type TCP
claim "fewer than there should be are an error" answers 1 "is 2, under the bound of 3." -- \
	"${bot[@]}" notifier --endpoint "$url" --bots 2 --seconds 1 --echo 200 --quiet --min-notices 3
claim "one is deleted" task notifier.remove one
claim "and heard no more" hear '"notices": 1, "reliable": 1, "heard": 20' --min-notices 1
claim "beside rooms and all else" answers 0 '{"kind": "notifier", "notices": 1, "reliable": 1, "heard": 8' -- "${bot[@]}" mixed --endpoint "$url" \
	--with room,notifier --bots 8 --room-size 4 --rate 5 --seconds 1 --echo 200 --reliable --json --quiet
claim "the node ends well" stop node

# test: two nodes
mkdir "$work/conf"
cp "$cluster_conf/mesh.inc" "$cluster_conf/mars.conf" "$cluster_conf/http.conf" "$work/conf/"
cat >"$work/conf/udp.conf" <<'CONF'
plugins = {
@include "mesh.inc"

	mars = { };
	udp = { address = "{$DIARKIS_NODE_ADDR}"; };
	tcp = { address = "{$DIARKIS_NODE_ADDR}"; };
	user = { };
	notifier = { };
};
CONF
cluster_conf=$work/conf

# tell NODE COMMAND ARGUMENT...: as an operator does, over the mesh.
tell()
{
	local at

	at=$(address mesh "$1") && shift && timeout 20 "${ctl[@]}" call "$at" "$@"
}

# refused NODE TEXT COMMAND ARGUMENT...: the node says no, with that sentence.
refused()
{
	local at text=$2

	at=$(address mesh "$1") && shift 2 && answers 1 "$text" -- "${ctl[@]}" call "$at" "$@"
}

# listen NAME TYPE: bots that hear all that comes, until bots_end; returns when they do.
listen()
{
	: >"$work/$1.log"
	timeout 300 "${bot[@]}" notifier --endpoint "$cluster_url" --type "$2" --prefix "$1-" --bots 40 --echo 300 --seconds 250 --json \
		--min-notices 4 --max-lost 0 --max-doubled 0 --max-disconnected 0 >"$work/$1.figures" 2>"$work/$1.log" </dev/null &
	pid[$1]=$!
	log_has "$1" running
}

# all_heard NOTICES: by all bots of both kinds.
all_heard()
{
	log_has udp "notices $1  heard $(($1 * 40)) " && log_has tcp "notices $1  heard $(($1 * 40)) "
}

# late TYPE: who comes now hears what lives, and nothing else.
late()
{
	answers 0 '"notices": 2, ' '"heard": 40, "least": 2, "lost": 0' '"faint": 0, "duplicated": 0' -- "${bot[@]}" notifier \
		--endpoint "$cluster_url" --type "$1" --prefix late- --bots 20 --seconds 2 --echo 300 --json --quiet
}

# heard_in_all NAME TEXT: the bots end well, and that is among their figures.
heard_in_all()
{
	bots_end "$1" && grep -F "$2" "$work/$1.figures"
}

up 2 --set tcp.port=0
claim "a notice, by diarkisctl" tell udp1 notifier.notify gone "" 60000 true "nobody hears this"
# Its id is known there when it has come there.
known()
{
	local until=$((SECONDS + 20))

	while tell "$1" notifier.notify "$2" "" 60000 true "nobody hears this" 2>&1 | grep -v "not long ago"; do
		[ $SECONDS -lt $until ] || return 1
		a_moment
	done
}
claim "all nodes know it" known udp2 gone
claim "it is deleted on another node before it is heard" tell udp2 notifier.remove gone
listen udp UDP
listen tcp TCP
claim "a notice on one node" tell udp1 notifier.notify one "" 120000 true "a maintenance"
claim "... is heard by the bots of both" all_heard 1
claim "its id is not taken twice, on no node" refused udp2 "refused: there is, or was not long ago, a notice of that id" \
	notifier.notify one "" 60000 true "something else"
claim "one that comes with heartbeats, on the other node" tell udp2 notifier.notify two "" 120000 false "an event"
claim "... likewise" all_heard 2
claim "one whose time is short" tell udp1 notifier.notify three "" 5000 true "a brief event"
claim "... likewise" all_heard 3
seconds 5
claim "who comes later hears those whose time is not over and that were not deleted, over UDP" late UDP
claim "over TCP, too" late TCP
# Half of the bots move to the other node, and take along what they have heard.
claim "one of the nodes is drained" stop udp2
claim "a last notice" tell udp1 notifier.notify four "" 60000 true "and the end"
claim "... is heard by those who were moved" all_heard 4
claim "over UDP nobody missed any, or heard one twice" heard_in_all udp '"notices": 4, "reliable": 3, "heard": 160, "least": 4, "lost": 0'
claim "nor over TCP" heard_in_all tcp '"notices": 4, "reliable": 4, "heard": 160, "least": 4, "lost": 0'

# test: operators
claim "a command that is not for operators" refused udp1 "refused: notifier.take is not for operators" notifier.take 00
claim "one that does not exist" refused udp1 "refused: this node has no command notifier.tell" notifier.tell x
claim "one that this node has not" refused mars "refused: this node has no command notifier.remove" notifier.remove one
claim "parameters that are missing are told" refused udp1 "notifier.notify takes 5 parameters (str16 id, str16 name, u32 ttl_ms, flag reliable, rest message), but 1" \
	notifier.notify one
claim "so is one that does not fit" refused udp1 'refused: notifier.notify: "soon" is no u32, which its parameter ttl_ms wants' \
	notifier.notify five "" soon true "and"
claim "what is answered is printed" answers 0 "state=1" -- "${ctl[@]}" call "$(address mesh http)" mesh.health
DIARKIS_USE_STRUCT_ERR=TRUE cluster_node coded udp --set mesh.port=0 --set udp.port=0 --set tcp.port=0
claim "errors with codes are sentences, too" refused coded "refused: this node knows no notice of that id" notifier.remove never
claim "without the key nobody answers" answers 1 "nothing came back" -- env -u DIARKIS_CLUSTER_KEY_FILE "${ctl[@]}" -w 0.5 call \
	"$(address mesh udp1)" mesh.health
(umask 077; echo 0123 >"$work/short.key")
claim "a key that is none ends with 78" answers 78 "64 hexadecimal digits" -- "${ctl[@]}" -k "$work/short.key" call "$(address mesh udp1)" mesh.health
claim "what is too long for a datagram is a wrong usage" answers 2 "the arguments are too long" -- "${ctl[@]}" call "$(address mesh udp1)" \
	notifier.notify six "" 1000 true "$(head -c 2000 /dev/zero | tr '\0' x)"
claim "no command is one, too" answers 2 "expected an address and the name of a command" -- "${ctl[@]}" call "$(address mesh udp1)"
claim "so is no word at all" answers 2 "what to do?" -- "${ctl[@]}"
claim "--help" answers 0 "Usage: diarkisctl" "notifier.notify" "Exit status:" -- "${ctl[@]}" --help
claim "a node is drained by diarkisctl" tell udp1 user.drain
claim "... and ends well" ended udp1 0
claim "all others end well" cluster_end
finish
