/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From exec to the ready line of an all-in-one node, and from SIGTERM to its end, in milliseconds.
 *
 *   bench_start [RUNS=20] [--json]
 */
#include "rig.h"

#include <stdlib.h>

#define RUNS_MAX 1000

int main(int argc, char **argv)
{
	static double up[RUNS_MAX], down[RUNS_MAX];
	bool json = argc > 1 && !strcmp(argv[argc - 1], "--json");
	size_t runs = argc > 1 && argv[1][0] != '-' ? strtoul(argv[1], NULL, 10) : 20;

	if (!runs || runs > RUNS_MAX)
		rig_die("runs: 1 to %d", RUNS_MAX);
	for (size_t i = 0; i < runs; i++) {
		struct rig_node n;
		uint64_t t;

		rig_node_start(
			&n,
			"log = { level = \"warn\"; };\nplugins = { http = { port = 17000; }; endpoint = {}; user = {}; room = {};\n"
			"udp = { port = 17100; }; tcp = { port = 17200; }; };\n");
		up[i] = (double)n.ready_us / 1000;
		t = rig_now_us();
		if (rig_node_stop(&n))
			rig_die("the node did not end well");
		down[i] = (double)(rig_now_us() - t) / 1000;
	}
	printf(json ? "{\"bench\":\"start\",\"runs\":%zu,\"start_ms\":%.2f,\"stop_ms\":%.2f}\n"
		    : "%zu runs: %.2f ms from exec to ready, %.2f ms from SIGTERM to the end (medians)\n",
	       runs, rig_median(up, runs), rig_median(down, runs));
	return 0;
}
