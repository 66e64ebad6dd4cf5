#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# diarkis-health-check against real nodes: its exit codes, its one line, its configuration.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"
check=$TEST_BUILDDIR/tools/diarkis-health-check
cd "$work" || exit 1

# in_time COMMAND...: within the second that a probe of Kubernetes has.
in_time()
{
	local began=${EPOCHREALTIME/./} rc=0

	"$@" || rc=$?
	began=$(((${EPOCHREALTIME/./} - began) / 1000))
	[ $began -lt 1000 ] || { echo "it took $began ms"; return 1; }
	return $rc
}

# one_line COMMAND...: says exactly one line.
one_line()
{
	[ "$("$@" 2>&1 | wc -l)" -eq 1 ]
}

claim "--help" answers 0 "Usage: diarkis-health-check" "Exit status:" -- "$check" --help
claim "--version" answers 0 "diarkis-health-check " -- "$check" --version
claim "no argument is a wrong usage" answers 2 "--help" -- "$check"
claim "so is another question" answers 2 "--help" -- "$check" 127.0.0.1:7100 up
claim "the file that names the address is not there: not well" answers 1 "is it running?" -- "$check" out
claim "what is no address is told" answers 1 "host:port" -- "$check" 127.0.0.1 out
claim "a port that is none, too" answers 1 "host:port" -- "$check" 127.0.0.1:70000 out

# test: out
start_default node
claim "a UDP server is well" in_time answers 0 "well" -- "$check" "$(address udp)" out
claim "one line says so" one_line "$check" "$(address udp)" out
claim "a TCP server is well" in_time answers 0 "well" "TCP" -- "$check" "$(address tcp)" out
claim "a name will do" answers 0 "well" -- "$check" "localhost:$(address udp | cut -d: -f2)" out
udp=$(address udp) tcp=$(address tcp)
send node STOP
claim "a server that is held up is not well" in_time answers 1 "nothing came back" -- "$check" "$udp" out
claim "one line says why" one_line "$check" "$udp" out
claim "over TCP, too, although its socket takes connections" in_time answers 1 "nobody reads" -- "$check" "$tcp" out
send node CONT
claim "when it goes on it is well again" answers 0 "well" -- "$check" "$udp" out

# test: configuration
hc()
{
	mkdir -p "$(dirname "$1")"
	printf '%s\n' "$2" >"$1"
}
hc given.json '{ "level": "debug", "address": "127.0.0.1", "port": "9000" }'
claim "a configuration may be named" answers 0 "configuration: given.json" "well" -- "$check" "$udp" out given.json
hc bin/tools/configs/health-check.json '{ "level": "debug", "address": "127.0.0.1", "port": 9001 }'
claim "else the one below the current folder is taken" answers 0 "configuration: bin/tools/configs/health-check.json" -- "$check" "$udp" out
claim "a named one comes first" answers 0 "configuration: given.json" -- "$check" "$udp" out given.json
rm -r bin
mkdir -p beside
ln -s "$check" beside/health-check
hc beside/configs/health-check.json '{ "level": "verbose" }'
claim "else the one beside the program" answers 0 "configuration: ./beside/configs/health-check.json" "well" -- ./beside/health-check "$udp" out
rm -r beside/configs
hc etc/diarkis/health-check.json '{ "level": "verbose" }'
mkdir -p moved/bin moved/etc
mv etc/diarkis moved/etc/diarkis
# The program itself, not libtool's script around it.
real=$TEST_BUILDDIR/tools/.libs/diarkis-health-check
[ -e "$real" ] || real=$check
cp "$real" moved/bin/health-check
claim "else the one of its tree" answers 0 "/moved/bin/../etc/diarkis/health-check.json" "well" -- \
	env LD_LIBRARY_PATH="$TEST_BUILDDIR/kernel/.libs" moved/bin/health-check "$udp" out
claim "without any there are defaults" in_time answers 0 "well" -- "$check" "$udp" out
claim "a configured port in use is no reason not to answer" \
	bash -c '"$0" "$1" out given.json & "$0" "$1" out given.json && wait $!' "$check" "$udp"
claim "a configuration that is not there ends with 78" answers 78 "nowhere.json" -- "$check" "$udp" out nowhere.json
hc bad.json '{ "level": "loud" }'
claim "so does a level that is none" answers 78 'bad.json: "level"' -- "$check" "$udp" out bad.json
hc bad.json '{ "port": 70000 }'
claim "a port that is none" answers 78 '"port"' -- "$check" "$udp" out bad.json
hc bad.json '{ "adress": "127.0.0.1" }'
claim "a key that is none" answers 78 'unknown key "adress"' -- "$check" "$udp" out bad.json
hc bad.json '{
	"level": "error",, }'
claim "what is no JSON, with its line" answers 78 "bad.json:2: " -- "$check" "$udp" out bad.json

claim "the node ends" stop node
claim "a server that is gone is not well" in_time answers 1 "nobody listens" -- "$check" "$udp" out
finish
