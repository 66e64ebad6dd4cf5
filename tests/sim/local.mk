## SPDX-License-Identifier: Apache-2.0
## The simulator (sources of libdiarkis-test) and the tests that run in it with real nodes and real clients.
sim_sources = %D%/sim.h %D%/sim.c %D%/sim_link.c %D%/sim_tcp.c %D%/sim_udp.c
check_PROGRAMS += %D%/sim_room
%C%_sim_room_SOURCES = %D%/sim_room.c $(sim_players) %D%/seeds.h
%C%_sim_room_LDADD = $(harness_lib) $(client_lib) $(kernel_lib) $(test_libs)
noinst_PROGRAMS += %D%/lag_lab
%C%_lag_lab_SOURCES = %D%/lag_lab.c $(sim_players)
%C%_lag_lab_LDADD = $(harness_lib) $(client_lib) $(kernel_lib)
EXTRA_DIST += %D%/many-seeds.sh
## Real clients on scripted sockets; two of them, and what they say and hear by typed calls.
sim_wires = tests/sim/wires.c tests/sim/wires.h
sim_pair = tests/sim/pair.c tests/sim/pair.h $(sim_wires)
## A room of them, and a cluster.
sim_players = tests/sim/players.c tests/sim/players.h $(sim_wires)
sim_town = tests/sim/town.c tests/sim/town.h $(sim_wires)
## Clients made of wire/ itself, and a sink: for tests of transports.
sim_ends = tests/sim/ends.c tests/sim/ends.h
check_PROGRAMS += %D%/sim_calls
%C%_sim_calls_SOURCES = %D%/sim_calls.c $(sim_pair)
%C%_sim_calls_LDADD = $(harness_lib) $(client_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/sim_hostile
%C%_sim_hostile_SOURCES = %D%/sim_hostile.c $(sim_players)
%C%_sim_hostile_LDADD = $(harness_lib) $(client_lib) $(kernel_lib) $(wire_lib) $(test_libs)
## Every command of clients, with nonsense.
check_PROGRAMS += %D%/sim_nonsense
%C%_sim_nonsense_SOURCES = %D%/sim_nonsense.c tools/cli_rows.c
%C%_sim_nonsense_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
## Calls between nodes over a bad network.
check_PROGRAMS += %D%/sim_carrier
%C%_sim_carrier_SOURCES = %D%/sim_carrier.c $(carrier_nodes) %D%/seeds.h
%C%_sim_carrier_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
## Whole clusters under random faults.
check_PROGRAMS += %D%/sim_cluster
%C%_sim_cluster_SOURCES = %D%/sim_cluster.c $(sim_town) %D%/seeds.h
%C%_sim_cluster_LDADD = $(harness_lib) $(client_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/sim_kept
%C%_sim_kept_SOURCES = %D%/sim_kept.c $(sim_pair)
%C%_sim_kept_LDADD = $(harness_lib) $(client_lib) $(kernel_lib) $(test_libs)
