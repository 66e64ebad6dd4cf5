## SPDX-License-Identifier: Apache-2.0
## Tests of pure parts, without a running kernel. For each test three lines:
##check_PROGRAMS += %D%/test_frame
##%C%_test_frame_SOURCES = %D%/test_frame.c
##%C%_test_frame_LDADD = $(wire_lib) $(test_libs)
## A test of the kernel's private functions links $(kernel_objects) in place of $(wire_lib).
check_PROGRAMS += %D%/test_config
%C%_test_config_SOURCES = %D%/test_config.c
%C%_test_config_LDADD = $(kernel_objects) $(test_libs)
include %D%/wire/local.mk

noinst_HEADERS += %D%/unit.h

check_PROGRAMS += %D%/test_packet
%C%_test_packet_SOURCES = %D%/test_packet.c
%C%_test_packet_LDADD = $(test_libs)

check_PROGRAMS += %D%/test_util
%C%_test_util_SOURCES = %D%/test_util.c
%C%_test_util_LDADD = $(test_libs)

lint_scripts += %D%/compile-fail.sh
EXTRA_DIST += %D%/compile_fail
noinst_HEADERS += %D%/fake.h

check_PROGRAMS += %D%/test_mem
%C%_test_mem_SOURCES = %D%/test_mem.c
%C%_test_mem_LDADD = $(kernel_objects) $(test_libs)

check_PROGRAMS += %D%/test_ledger
%C%_test_ledger_SOURCES = %D%/test_ledger.c
%C%_test_ledger_LDADD = $(kernel_objects) $(test_libs)

check_PROGRAMS += %D%/test_kernel
%C%_test_kernel_SOURCES = %D%/test_kernel.c
%C%_test_kernel_LDADD = $(kernel_objects) $(test_libs)

check_PROGRAMS += %D%/test_typed
%C%_test_typed_SOURCES = %D%/test_typed.c
%C%_test_typed_LDADD = $(kernel_objects) $(test_libs)

## Tests of the kernel as a whole, in the simulator.
noinst_HEADERS += %D%/node.h

check_PROGRAMS += %D%/test_life
%C%_test_life_SOURCES = %D%/test_life.c
%C%_test_life_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)

check_PROGRAMS += %D%/test_node
%C%_test_node_SOURCES = %D%/test_node.c
%C%_test_node_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)

check_PROGRAMS += %D%/test_environment
%C%_test_environment_SOURCES = %D%/test_environment.c
%C%_test_environment_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)

check_PROGRAMS += %D%/test_graph
%C%_test_graph_SOURCES = %D%/test_graph.c
%C%_test_graph_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)

noinst_HEADERS += %D%/probe.h

check_PROGRAMS += %D%/test_wheel
%C%_test_wheel_SOURCES = %D%/test_wheel.c
%C%_test_wheel_LDADD = $(kernel_objects) $(test_libs)

check_PROGRAMS += %D%/test_io
%C%_test_io_SOURCES = %D%/test_io.c
%C%_test_io_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)

check_PROGRAMS += %D%/test_sim
%C%_test_sim_SOURCES = %D%/test_sim.c
%C%_test_sim_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)

check_PROGRAMS += %D%/test_faults
%C%_test_faults_SOURCES = %D%/test_faults.c
%C%_test_faults_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)

check_PROGRAMS += %D%/test_uv
%C%_test_uv_SOURCES = %D%/test_uv.c
%C%_test_uv_LDADD = $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/test_command
%C%_test_command_SOURCES = %D%/test_command.c
%C%_test_command_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)

check_PROGRAMS += %D%/test_log
%C%_test_log_SOURCES = %D%/test_log.c
%C%_test_log_LDADD = $(harness_lib) $(kernel_lib) $(JANSSON_LIBS) $(test_libs)

check_PROGRAMS += %D%/test_task
%C%_test_task_SOURCES = %D%/test_task.c
%C%_test_task_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)

check_PROGRAMS += %D%/test_oom
%C%_test_oom_SOURCES = %D%/test_oom.c
%C%_test_oom_LDADD = $(kernel_objects) $(test_libs)
%C%_test_oom_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc
check_PROGRAMS += %D%/test_derror
%C%_test_derror_SOURCES = %D%/test_derror.c
%C%_test_derror_LDADD = $(test_libs)
check_PROGRAMS += %D%/test_value
%C%_test_value_SOURCES = %D%/test_value.c
%C%_test_value_LDADD = $(test_libs)
check_PROGRAMS += %D%/test_td
%C%_test_td_SOURCES = %D%/test_td.c
%C%_test_td_LDADD = $(test_libs)
## What the plugins user and room share in source form.
check_PROGRAMS += %D%/test_props
%C%_test_props_SOURCES = %D%/test_props.c plugins/props.c plugins/props.h
%C%_test_props_LDADD = $(kernel_lib) $(test_libs)
## Its own objects: those of the plugins are made by libtool.
%C%_test_props_CPPFLAGS = $(AM_CPPFLAGS)
