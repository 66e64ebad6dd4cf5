## SPDX-License-Identifier: Apache-2.0
## Benchmarks: programs that print figures and assert nothing. make all builds them. ./dev bench NAME runs bench_NAME, which
## prints lines for people, and with --json one JSON object a line instead.
bench_programs += %D%/bench_wire
%C%_bench_wire_SOURCES = %D%/bench_wire.c
%C%_bench_wire_LDADD = $(wire_lib)
bench_programs += %D%/bench_fanout
%C%_bench_fanout_SOURCES = %D%/bench_fanout.c %D%/bare.c %D%/bare.h %D%/rig.c %D%/rig.h
%C%_bench_fanout_LDADD = $(wire_lib)
## Counts allocations and system calls of a program that is measured; BENCH_COUNT names it.
noinst_LTLIBRARIES += %D%/count.la
%C%_count_la_SOURCES = %D%/count.c %D%/count.h
%C%_count_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
bench_programs += %D%/bench_start
%C%_bench_start_SOURCES = %D%/bench_start.c %D%/rig.c %D%/rig.h
noinst_LTLIBRARIES += %D%/nop.la
%C%_nop_la_SOURCES = %D%/nop.c
%C%_nop_la_LIBADD = $(kernel_lib)
%C%_nop_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
bench_programs += %D%/bench_idle
%C%_bench_idle_SOURCES = %D%/bench_idle.c %D%/rig.c %D%/rig.h
bench_programs += %D%/bench_mesh
%C%_bench_mesh_SOURCES = %D%/bench_mesh.c %D%/rig.c %D%/rig.h
%C%_bench_mesh_LDADD = $(kernel_lib)
bench_programs += %D%/bench_modules
%C%_bench_modules_SOURCES = %D%/bench_modules.c %D%/diver.h %D%/rig.c %D%/rig.h
noinst_LTLIBRARIES += %D%/diver.la
%C%_diver_la_SOURCES = %D%/diver.c %D%/diver.h
%C%_diver_la_LIBADD = $(kernel_lib)
%C%_diver_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
## A group on three nodes beside rooms, above the sockets.
bench_programs += %D%/bench_group
%C%_bench_group_SOURCES = %D%/bench_group.c
%C%_bench_group_LDADD = $(harness_lib) $(kernel_lib)
