## SPDX-License-Identifier: Apache-2.0
## Benchmarks: programs that print figures and assert nothing. make all builds them. ./dev bench NAME runs bench_NAME, which
## prints lines for people, and with --json one JSON object a line instead. For each:
##bench_programs += %D%/bench_wire
##%C%_bench_wire_SOURCES = %D%/bench_wire.c
##%C%_bench_wire_LDADD = $(wire_lib)
noinst_PROGRAMS += %D%/wire_bench
%C%_wire_bench_SOURCES = %D%/wire_bench.c
%C%_wire_bench_LDADD = $(wire_lib)
