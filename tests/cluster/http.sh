#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The HTTP side with curl: endpoints in both forms, with and without keys, the client key, the start page, refusals.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"

# fields JSON: the names in it, sorted.
fields()
{
	grep -oE '"[a-zA-Z0-9]+":' <<<"$1" | tr -d '":' | sort | tr '\n' ' '
}

# seven URL [CURL ARGUMENT]...: the current form: seven fields, sid and keys of 32 hex digits, a port.
seven()
{
	local json hex='"[0-9a-f]{32}"' name

	json=$(curl -sSf "$@") || return 1
	echo "$json"
	[ "$(fields "$json")" = "encryptionIV encryptionKey encryptionMacKey serverHost serverPort serverType sid " ] || return 1
	for name in encryptionIV encryptionKey encryptionMacKey sid; do
		[[ $json =~ \"$name\":$hex ]] || { echo "$name"; return 1; }
	done
	[[ $json =~ \"serverPort\":[1-9][0-9]*[,}] && $json == *'"serverHost":"127.0.0.1"'* ]]
}

v1()
{
	local json

	json=$(curl -sSf -H "ResponseVersion: v1" "$1") || return 1
	echo "$json"
	[ "$(fields "$json")" = "TCP UDP WS encryptionIV encryptionKey encryptionMacKey sid " ]
}

# unkeyed JSON-SOURCE...: all three keys are empty, the sid is not.
unkeyed()
{
	local json

	json=$("$@") || return 1
	echo "$json"
	[[ $json =~ \"sid\":\"[0-9a-f]{32}\" ]] && [ "$(grep -o '"encryption[A-Za-z]*":""' <<<"$json" | wc -l)" -eq 3 ]
}

# status CODE TEXT CURL-ARGUMENT...: that status, and a JSON error with that text.
status()
{
	local code=$1 text=$2

	shift 2
	answers 0 "$text" "<$code>" -- curl -s -w '<%{http_code}>' "$@"
}

DIARKIS_SHUTDOWN_TIMEOUT=1 start_default node
claim "GET answers seven fields" seven "$url/endpoint/type/UDP/user/alice"
claim "so it does for TCP" seven "$url/endpoint/type/TCP/user/bob"
claim "POST with properties likewise" seven -d 'rank=3&team=red' "$url/endpoint/type/UDP/user/carol"
claim "POST with JSON likewise" seven -H 'Content-Type: application/json' -d '{"rank":3,"team":"red"}' "$url/endpoint/type/UDP/user/dan"
claim "the v1 form has its seven" v1 "$url/endpoint/type/UDP/user/erin"
claim "two users of one connection" answers 0 '"sid"' -- \
	curl -sSf "$url/endpoint/type/UDP/user/f" "$url/endpoint/type/UDP/user/g"
claim "the start page shows what runs here" answers 0 "room" "/endpoint/type/UDP/user/" "200" -- curl -s -w '%{http_code}' "$url/"
claim "and where" answers 0 "$(address udp)" "$(address tcp)" -- curl -s "$url/"
claim "the health check" curl -sSf "$url/healthcheck"
claim "an unknown type is a sentence" status 404 '"error":"' "$url/endpoint/type/SMOKE/user/a"
claim "an unknown path is a sentence" status 404 '"error":"' "$url/nothing/here"
claim "a wrong method is a sentence" status 405 '"error":"' -X DELETE "$url/endpoint/type/UDP/user/a"
claim "a body that is too long is refused" status 413 '"error":"' -H 'Expect:' -d "$(head -c 70000 /dev/zero | tr '\0' a)" \
	"$url/endpoint/type/UDP/user/a"
claim "a head that is too long is refused" status 431 '"error":"' -H "X: $(head -c 9000 /dev/zero | tr '\0' a)" "$url/"
claim "the node still serves" curl -sSf "$url/healthcheck"
claim "users who never connected keep it to the deadline, no longer" within 3 stop node

DIARKIS_SHUTDOWN_TIMEOUT=1 start_default node --set endpoint.enableEncryption=false --set udp.enableEncryption=false --set tcp.enableEncryption=false
claim "without encryption the keys are empty" unkeyed curl -sSf "$url/endpoint/type/UDP/user/alice"
for type in UDP TCP; do
	claim "plain mode, $type: reliable messages" \
		"${bot[@]}" room --endpoint "$url" --type $type --bots 8 --room-size 4 --messages 30 --reliable --quiet
	claim "plain mode, $type: unreliable messages" answers 0 '"duplicated": 0' -- \
		"${bot[@]}" room --endpoint "$url" --type $type --bots 8 --room-size 4 --messages 30 --json --quiet
done
claim "it ends" stop node

DIARKIS_SERVER_TYPE=GAME DIARKIS_SHUTDOWN_TIMEOUT=1 start_default node --set tcp.enabled=false
claim "DIARKIS_SERVER_TYPE renames the type" answers 0 '"serverType":"GAME"' -- curl -sSf "$url/endpoint/type/GAME/user/alice"
claim "the old name is no type any more" status 404 "known: GAME" "$url/endpoint/type/UDP/user/alice"
claim "it ends" stop node
claim "with two such servers it is an error, which says what to set" answers 78 "it would set" tcp.type udp.type -- \
	env DIARKIS_SERVER_TYPE=GAME "${diarkisd[@]}" "${conf[@]}" -t

DIARKIS_CLIENT_KEY=open-sesame DIARKIS_SHUTDOWN_TIMEOUT=1 start_default node
claim "a missing client key is a sentence" status 400 '"error":"' "$url/endpoint/type/UDP/user/alice"
claim "a wrong one too" status 400 '"error":"' -H "ClientKey: open-sesami" "$url/endpoint/type/UDP/user/alice"
claim "the right one opens" seven -H "ClientKey: open-sesame" "$url/endpoint/type/UDP/user/alice"
for type in UDP TCP; do
	claim "bots with the key, $type" \
		"${bot[@]}" room --endpoint "$url" --type $type --client-key open-sesame --bots 8 --room-size 4 --messages 20 --reliable --quiet
	claim "bots without it, $type" answers 1 -- \
		"${bot[@]}" room --endpoint "$url" --type $type --bots 4 --room-size 4 --messages 20 --quiet
done
claim "it ends" stop node
finish
