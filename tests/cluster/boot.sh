#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The daemon's options, its exit codes and its sentences: what an operator meets before anything runs.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"

# written FILE TEXT: its name.
written()
{
	printf '%s\n' "$2" >"$work/$1"
}

claim "--version ends with 0" answers 0 "diarkisd " -- "${diarkisd[@]}" --version
claim "-VV tells ABI, compiler and folders" answers 0 "plugin ABI: " "compiler: " "plugins: " -- "${diarkisd[@]}" -VV
claim "--help ends with 0" answers 0 "Exit codes: " -- "${diarkisd[@]}" --help
claim "an unknown option ends with 2" answers 2 "--help" -- "${diarkisd[@]}" --bogus
claim "a stray word ends with 2" answers 2 '"stray"' "-c" -- "${diarkisd[@]}" stray
claim "--plugins lists what can be found" answers 0 "room " "udp " "plugins/.libs/room.so" -- "${diarkisd[@]}" --plugins
claim "--explain explains a plugin" answers 0 "room.create" "options" -- "${diarkisd[@]}" --explain room
claim "--explain of nothing ends with 78" answers 78 "no plugin nothing.so" -- "${diarkisd[@]}" --explain nothing
claim "-t finds the configuration good" answers 0 "good" -- "${diarkisd[@]}" "${conf[@]}" -t
claim "-T tells where a value comes from" answers 0 "port = 7100;  # " "etc/diarkis.conf:" "# default" -- "${diarkisd[@]}" "${conf[@]}" -T
claim "-T keeps the client key to itself" \
	bash -c 'out=$(DIARKIS_CLIENT_KEY=hunter2 "$@") && [[ $out == *client_key* && $out != *hunter2* ]]' - \
	"${diarkisd[@]}" "${conf[@]}" -T

claim "a missing file ends with 78" answers 78 "cannot be read" -- "${diarkisd[@]}" -c "$work/nowhere.conf"
written bad.conf 'plugins = {
	udp = { prot = 1; };
	tcp = { connectionTTL = "soon"; };
};'
claim "all mistakes are told at once, with file, line and a suggestion" \
	answers 78 'bad.conf:2: udp: unknown option "prot"; did you mean "port"?' 'bad.conf:3: tcp: "connectionTTL" must be' -- \
	"${diarkisd[@]}" -c "$work/bad.conf" -t
claim "the same mistakes keep a node from starting" answers 78 'did you mean "port"?' -- "${diarkisd[@]}" -c "$work/bad.conf"
written bad.json '{ "plugins": {
	"udp": {, } } }'
claim "bad JSON is told with its line" answers 78 "bad.json:2: " -- "${diarkisd[@]}" -c "$work/bad.json" -t
written unset.conf 'plugins = {
	udp = { address = "{$DIARKIS_NOT_SET}"; };
};'
claim "an unset variable is told with its line" answers 78 "unset.conf:2: " DIARKIS_NOT_SET -- "${diarkisd[@]}" -c "$work/unset.conf" -t
claim "a set one is taken" env DIARKIS_NOT_SET=127.0.0.1 "${diarkisd[@]}" -c "$work/unset.conf" -t
# What the reference's servers read, with its defaults and its habit of writing numbers as texts.
written http.json '{ "address": "127.0.0.1", "nic": "eth0", "port": "7000", "enableEncryption": true, "useFixedPort": false, "timeout": "5" }'
written udp.json '{ "address": "127.0.0.1", "nic": "eth0", "port": "7100", "enableP2P": true, "connectionTTL": "10", "sendUDPInterval": "0",
	"handleRUDPInterval": "100", "retryInterval": "1000", "maxRetry": "10", "enableEncryption": true }'
written tcp.json '{ "address": "127.0.0.1", "nic": "eth0", "port": "7200", "connectionTTL": "10", "maxRcvSize": "8000", "noDelay": false,
	"enableEncryption": true }'
written log.json '{ "level": "sys", "levels": { "room": "debug" }, "timeZone": "local", "color": true, "flat": false, "filePath": "",
	"unsafeLogging": false }'
written room.json '{}'
written reference.json '{ "log": { "config": "log.json" }, "plugins": { "http": { "config": "http.json" }, "endpoint": {}, "user": {},
	"udp": { "config": "udp.json" }, "tcp": { "config": "tcp.json" }, "room": { "config": "room.json" } } }'
claim "the reference's configuration files are good as they are" answers 0 good -- "${diarkisd[@]}" -c "$work/reference.json" -t
written public.conf 'plugins = { user = { }; udp = { address = "8.8.8.8"; }; tcp = { address = "10.0.0.1"; }; };'
claim "a public address is warned of by -t" answers 0 "public.conf:1: udp: clients are served on 8.8.8.8" -- \
	"${diarkisd[@]}" -c "$work/public.conf" -t
claim "a private one is not" bash -c '! grep -q 10.0.0.1 <<<"$("$@" 2>&1)"' _ "${diarkisd[@]}" -c "$work/public.conf" -t
written missing.conf 'plugins = { room = { }; };'
claim "a missing need names both sides" answers 78 "room" "user" -- "${diarkisd[@]}" -c "$work/missing.conf" -t
claim "a shutdown timeout that is none ends with 78" answers 78 DIARKIS_SHUTDOWN_TIMEOUT -- \
	env DIARKIS_SHUTDOWN_TIMEOUT=0 "${diarkisd[@]}" "${conf[@]}"
claim "endpoint and transport that disagree about sealing are both named" answers 1 endpoint udp enableEncryption -- \
	"${diarkisd[@]}" "${conf[@]}" "${free_ports[@]}" --set udp.enableEncryption=false

start_default one
http=$(address http) udp=$(address udp)
claim "a fixed port that is taken is a sentence and ends with 1" answers 1 "$http" "in use" "leftovers: none" -- \
	"${diarkisd[@]}" "${conf[@]}" "${free_ports[@]}" --set http.port="${http##*:}" --set http.useFixedPort=true
start_default two --set udp.port="${udp##*:}"
claim "any other port that is taken is passed over" test "$(address udp)" != "$udp"
claim "the second node ends with 0" stop two
claim "the first node ends with 0" stop one
finish
