# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Nodes as processes in the background, and whole clusters of them on loopback. Sourced by tests/cluster/lib.sh and by ./dev;
# whoever sources it has set: work (a folder, for logs and pipes), diarkisd (the command that runs a node), cluster_conf (the
# folder of mars.conf, http.conf, udp.conf).
#
# Nodes are known by names of the caller's choice: pid[NAME] is the process, line[NAME] its ready line, $work/NAME.log its log.
# shellcheck disable=SC2154
declare -gA pid=() line=()
ready='' url=''
[ -p "$work/never" ] || mkfifo "$work/never"

# address PLUGIN [NAME]: where it listens, by the ready line of that node, or of the one that was started last.
address()
{
	local word words=$ready

	[ $# -lt 2 ] || words=${line[$2]}
	for word in $words; do
		[[ $word != "$1="* ]] || echo "${word#*=}"
	done
}

# start NAME COMMAND...: a node in the background. Returns when it serves, with its ready line in `ready`; its log is
# $work/NAME.log.
start()
{
	local name=$1 out

	shift
	rm -f "$work/$name.out"
	mkfifo "$work/$name.out"
	"$@" >"$work/$name.out" 2>"$work/$name.log" </dev/null &
	pid[$name]=$!
	exec {out}<"$work/$name.out"
	ready=''
	read -r -t 20 ready <&"$out" || { echo "$name does not start:"; cat "$work/$name.log"; return 1; }
	line[$name]=$ready
	url=http://$(address http)
}

# log_has NAME TEXT: waits up to 20 s for it, or for the end of the node.
log_has()
{
	local until=$((SECONDS + 20)) last=false

	until grep -qF -- "$2" "$work/$1.log"; do
		$last && { echo "$1 ended without saying: $2"; cat "$work/$1.log"; return 1; }
		kill -0 "${pid[$1]}" 2>/dev/null || last=true
		[ $SECONDS -lt $until ] || { echo "$1 does not say: $2"; cat "$work/$1.log"; return 1; }
		read -r -t 0.05 <>"$work/never" || true
	done
}

send()
{
	kill -s "$2" "${pid[$1]}"
}

# ended NAME CODE: waits for its end; that is its exit status, and its plugins left nothing over.
ended()
{
	local rc=0

	wait "${pid[$1]}" || rc=$?
	unset "pid[$1]"
	[ "$rc" -eq "$2" ] || { echo "$1 ended with $rc, expected $2"; cat "$work/$1.log"; return 1; }
	grep -qF "leftovers: none" "$work/$1.log" || { echo "$1 did not say that nothing is left over"; cat "$work/$1.log"; return 1; }
}

# stop NAME: as an operator would.
stop()
{
	send "$1" TERM && ended "$1" 0
}

# a_moment: for loops that look again and again.
a_moment()
{
	read -r -t 0.05 <>"$work/never" || true
}

# ---- clusters

# A cluster is one MARS, one HTTP node, and realtime nodes udp1, udp2, ... on free ports of 127.0.0.1, sealed with a key of its own.
# Each node has a folder of its own for temporary files: $work/NAME.tmp.

# cluster_begin: the key, the address of MARS, and what the configurations want to be told.
cluster_begin()
{
	(umask 077; od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n' >"$work/cluster.key")
	export DIARKIS_CLUSTER_KEY_FILE=$work/cluster.key DIARKIS_NODE_ADDR=127.0.0.1 DIARKIS_MARS_ADDR=127.0.0.1
}

# cluster_mars: the registry, on a port by chance, since it takes no other one than it is told.
cluster_mars()
{
	local try

	for try in 1 2 3 4 5; do
		export DIARKIS_MARS_PORT=$((20000 + RANDOM % 10000))
		cluster_node mars mars --set mesh.port=0 --set mars.port=$DIARKIS_MARS_PORT && return 0
		wait "${pid[mars]}" || true
	done
	return 1
}

# cluster_node NAME CONF [ARGUMENT...]: one more node, by that configuration.
cluster_node()
{
	local name=$1 file=$2

	shift 2
	mkdir -p "$work/$name.tmp"
	start "$name" env TMPDIR="$work/$name.tmp" "${diarkisd[@]}" -c "$cluster_conf/$file.conf" "$@"
}

# cluster_up N [ARGUMENT...]: MARS, HTTP and N realtime nodes, which see each other when this returns. The arguments are for the
# realtime nodes.
cluster_up()
{
	local n=$1 i

	shift
	cluster_begin
	cluster_mars || return 1
	cluster_node http http --set mesh.port=0 --set http.port=0 || return 1
	cluster_url=$url
	for ((i = 1; i <= n; i++)); do
		cluster_node "udp$i" udp --set mesh.port=0 --set udp.port=0 "$@" || return 1
	done
	cluster_sees "$n"
}

# cluster_sees N: waits until the HTTP node can send users to N nodes.
cluster_sees()
{
	local until=$((SECONDS + 20)) state

	until state=$(curl -sSf -m 5 "$cluster_url/state/noderole/UDP") && [[ $state =~ \"onlineCnt\":\ *$1[,}] ]]; do
		[ $SECONDS -lt $until ] || { echo "the HTTP node does not see $1 nodes: $state"; return 1; }
		a_moment
	done
}

# cluster_end: TERM to all at once, and waits for them; fails when one does not end well.
cluster_end()
{
	local name rc=0

	for name in "${!pid[@]}"; do
		kill -TERM "${pid[$name]}" 2>/dev/null || true
	done
	for name in "${!pid[@]}"; do
		ended "$name" 0 || rc=1
	done
	return $rc
}
