#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# diarkis-bot by scenario files, and as a server that runs them: answers, figures for Prometheus, refusals with a sentence.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"

# runs CODE JSON TEXT... [-- OPTION...]: a run of a file with that in it ends with that exit status and says the texts.
runs()
{
	local code=$1 texts=()

	printf '%s\n' "$2" >"$work/s.json"
	shift 2
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		texts+=("$1")
		shift
	done
	answers "$code" "${texts[@]}" -- "${bot[@]}" scenario "$work/s.json" --endpoint "$node_url" --quiet "${@:2}"
}

# test: files
start_default node
node_url=$url
two='{"howmany": 8, "duration": 1, "interval": 5, "scenarios": [{"name": "room", "room_size": 4, "rate": 10, "reliable": true},
	{"name": "idle"}], "echo": 200}'
claim "two scenarios of a file, with the words of the reference" runs 0 "$two" '"kind": "mixed"' '"rooms": 2' '"room_size": 4' \
	'{"kind": "idle", "connected": 8' -- --json
claim "the command line wins over the file" runs 0 "$two" '"bots": 4' -- --json --bots 4
echo '{"howmany": 2, "duration": 1, "scenarios": ["idle"]}' >"$work/i.json"
claim "a file named by the environment" answers 0 'connected     2 of 2' -- env DIARKIS_BOT_CONFIG="$work/i.json" "${bot[@]}" \
	--endpoint "$url" --quiet
claim "a bound in a file is kept to" runs 1 '{"howmany": 2, "duration": 1, "scenarios": [{"name": "room", "room_size": 2, "max_gap_ms": 0, "rate": 3}]}' \
	'over the bound of 0.'
claim "a minimum, too" runs 1 '{"howmany": 2, "duration": 1, "scenarios": [{"name": "notifier", "min_notices": 1}]}' \
	'The number of notices that each bot heard is 0, under the bound of 1.' '"notices": 0, "reliable": 0, "heard": 0' -- --json
claim "no JSON: where" runs 2 $'{"howmany": 1,\n]' 's.json:2:'
claim "an unknown member is named" runs 2 '{"howmani": 1, "scenarios": ["room"]}' 's.json: howmani is no option'
claim "an unknown scenario is named" runs 2 '{"scenarios": ["dance"]}' 'found dance, there are room, state,'
claim "mixed stands for all that it does" runs 1 '{"howmany": 2, "duration": 30, "scenarios": ["mixed"]}' \
	'refused: clients have no such command here; expected the plugin tally'
claim "... or for what it is to be" runs 0 '{"howmany": 4, "duration": 1, "with": "room,idle", "scenarios": [{"name": "mixed", "room_size": 2}]}' \
	'"kind": "mixed"' '"rooms": 2' '"kind": "idle"' -- --json
claim "... of what there is" runs 2 '{"with": "room,dance", "scenarios": ["mixed"]}' \
	's.json: with: expected names of scenarios, separated by commas'
claim "no bot is in two rooms" runs 2 '{"scenarios": ["room", "idle", "find"]}' \
	's.json: room and find put each bot in a room, and it can be in one at a time; expected one of them'
claim "... nor by mixed" answers 2 'room and state put each bot in a room' -- "${bot[@]}" mixed --with room,state --endpoint "$url"
claim "a node that does not count is told at once" runs 1 '{"howmany": 2, "duration": 30, "scenarios": ["dive"]}' \
	'refused: clients have no such command here; expected the plugin tally'
claim "no scenario at all" runs 2 '{"howmany": 1}' 'scenarios: expected a list'
claim "a number out of its range" runs 2 '{"scenarios": [{"name": "room", "size": 5}]}' \
	's.json: room: size 5: expected a whole number from 16 to 60000'
claim "what is one for all is not one scenario's" runs 2 '{"scenarios": [{"name": "room", "endpoint": "x"}]}' \
	'room: endpoint is one for all'
claim "a text is no number" runs 2 '{"prefix": 5, "scenarios": ["idle"]}' 's.json: prefix: expected a text'

# test: server
start server "${bot[@]}" server --port 0 --endpoint "$node_url" || { echo "FAIL  the server does not start"; exit 1; }
ask=(curl -sS -m 60)
claim "no run yet" answers 0 '"state": "none"' -- "${ask[@]}" "$url/run"
claim "a run, waited for, has its figures" answers 0 '"state": "finished"' '"exit": 0, "good": true' '"lost": 0' -- "${ask[@]}" \
	-d "$two" "$url/run?wait"
claim "its figures for Prometheus" answers 0 'diarkis_bot_running 0' 'diarkis_bot_runs_total 1' 'diarkis_bot_bots{scenario="mixed"} 8' \
	'diarkis_bot_lost{scenario="room"} 0' 'diarkis_bot_delivery_us_p99{scenario="room"}' -- "${ask[@]}" "$url/metrics"
claim "... and as JSON" answers 0 '"figures": {"kind": "mixed"' -- "${ask[@]}" -H "Accept: application/json" "$url/metrics"
claim "what is no scenario is refused with a sentence" answers 0 '"exit": 2' 'the scenario: scenarios: expected a list' 400 -- \
	"${ask[@]}" -w '%{http_code}' -d '{}' "$url/run"
claim "a long run is accepted" answers 0 '"run": 3' 202 -- "${ask[@]}" -w '%{http_code}' -d \
	'{"howmany": 2, "duration": 600, "scenarios": ["idle"]}' "$url/run"
claim "a second one beside it is not" answers 0 'a run is going on' 409 -- "${ask[@]}" -w '%{http_code}' -d "$two" "$url/run"
# Its signals are heard once it runs; then it ends by the first of them.
ends()
{
	local until=$((SECONDS + 30))

	while ! curl -sS -m 5 "$url/run" | grep -q '"state": "finished"'; do
		[ $SECONDS -lt $until ] || { curl -sS "$url/run"; return 1; }
		curl -sS -m 5 -X DELETE "$url/run" >"$work/deleted"
		read -r -t 0.2 <>"$work/never" || true
	done
}
claim "DELETE ends it" ends
claim "no such path" answers 0 'there is /run and /metrics' 404 -- "${ask[@]}" -w '%{http_code}' "$url/else"
claim "no such method" answers 0 405 -- "${ask[@]}" -w '%{http_code}' -X PUT "$url/run"
claim "too long a scenario" answers 0 413 -- "${ask[@]}" -w '%{http_code}' --data-binary @<(head -c 1100000 /dev/zero) "$url/run"
server_ends()
{
	local rc=0

	send server TERM
	wait "${pid[server]}" || rc=$?
	unset "pid[server]"
	return $rc
}
claim "the server ends by a signal" server_ends
claim "the node ends well" stop node
finish
