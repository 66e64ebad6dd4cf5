#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How a node ends and what signals do, users being there or not.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"

# crowd NAME SECONDS: five idle users of the node that was started last; returns when they are there.
crowd()
{
	rm -f "$work/$1.out"
	mkfifo "$work/$1.out"
	timeout 60 "${bot[@]}" idle --endpoint "$url" --bots 5 --seconds "$2" --echo 500 >"$work/$1.out" 2>&1 </dev/null &
	pid[$1]=$!
	exec {crowd_out}<"$work/$1.out"
	while read -r -t 20 line <&"$crowd_out"; do
		[[ $line != *"5 of 5 connected"* ]] || return 0
	done
	echo "the users do not come; the last line was: $line"
	return 1
}

gone()
{
	local rc=0

	kill -TERM "${pid[$1]}" 2>/dev/null
	wait "${pid[$1]}" || rc=$?
	unset "pid[$1]"
	return 0
}

start_default node
claim "TERM without users: 0, nothing left over, at once" within 3 stop node
start_default node
send node INT
claim "INT likewise" within 3 ended node 0

start_default node
claim "users come" crowd users 60
send node TERM
claim "TERM is told" log_has node "OFFLINE"
claim "while users are there, no new one is taken in" answers 0 '"status":503' -- curl -s "$url/endpoint/type/UDP/user/late"
claim "the health check says so" answers 22 503 -- curl -sSf "$url/healthcheck"
claim "it still runs" kill -0 "${pid[node]}"
gone users
claim "when the last user has left it ends, long before the deadline" within 8 ended node 0

DIARKIS_SHUTDOWN_TIMEOUT=2 start_default node
claim "users come" crowd users 60
claim "at the deadline it ends without them, and says so" within 6 stop node
claim "... naming how many" grep -q "5 users" "$work/node.log"
gone users

start_default node
claim "users come" crowd users 60
send node INT
claim "INT waits a second for users, no longer" within 5 ended node 0
claim "... naming how many" grep -q "5 users" "$work/node.log"
gone users

start_default node
claim "users come" crowd users 60
send node TERM
log_has node "SIGTERM arrived"
send node TERM
claim "a second signal is immediate" within 3 ended node 0
claim "... and told" grep -q "second signal" "$work/node.log"
gone users

cat >"$work/node.conf" <<'END'
plugins = {
	http = { address = "127.0.0.1"; port = 0; };
	udp = { address = "127.0.0.1"; port = 0; connectionTTL = 10; };
	user = { };
	endpoint = { };
};
END
start node "${diarkisd[@]}" -c "$work/node.conf"
sed -i 's/connectionTTL = 10/connectionTTL = 20/' "$work/node.conf"
send node HUP
claim "HUP reloads" log_has node "reloaded"
sed -i 's/connectionTTL = 20/connectionTTL = "soon"/' "$work/node.conf"
send node HUP
claim "a reload with a mistake is refused" log_has node "connectionTTL"
claim "and the node runs on" curl -sSf "$url/healthcheck"
claim "to a good end" stop node

DIARKIS_STOP_PROCESS_ON_SIGHUP=TRUE start_default node
claim "users come" crowd users 60
send node HUP
claim "DIARKIS_STOP_PROCESS_ON_SIGHUP stops without waiting for users" within 3 ended node 0
gone users
finish
