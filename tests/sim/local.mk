## SPDX-License-Identifier: Apache-2.0
## The simulator (sources of libdiarkis-test) and the cluster tests that run in it.
sim_sources = %D%/sim.h %D%/sim.c %D%/sim_link.c %D%/sim_tcp.c %D%/sim_udp.c
##check_PROGRAMS += %D%/sim_room
##%C%_sim_room_SOURCES = %D%/sim_room.c
##%C%_sim_room_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
