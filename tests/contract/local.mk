## SPDX-License-Identifier: Apache-2.0
## What every plugin must hold: one suite, run over each .so in $DIARKIS_TEST_PLUGINS.
## The examples on an installed tree. Instrumented libraries want their run time in every program that links them.
examples_script = %D%/examples.sh
if !ENABLE_INSTRUMENTED
check_scripts += $(examples_script)
endif
EXTRA_DIST += $(examples_script)

check_PROGRAMS += %D%/plugin_contract
%C%_plugin_contract_SOURCES = %D%/plugin_contract.c
%C%_plugin_contract_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)

check_PROGRAMS += %D%/command_hooks
%C%_command_hooks_SOURCES = %D%/command_hooks.c tools/cli_rows.c
%C%_command_hooks_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)

## It brings an allocator of its own, which a sanitizer would not stand.
if !ENABLE_INSTRUMENTED
check_PROGRAMS += %D%/alloc_failure
endif
%C%_alloc_failure_SOURCES = %D%/alloc_failure.c
%C%_alloc_failure_LDADD = $(harness_lib) $(kernel_lib) $(CRYPTO_LIBS) $(test_libs)
EXTRA_DIST += %D%/alloc_failure.c

check_PROGRAMS += %D%/transport_contract
%C%_transport_contract_SOURCES = %D%/transport_contract.c $(sim_ends)
%C%_transport_contract_LDADD = $(harness_lib) $(kernel_lib) $(wire_lib) $(test_libs)

## Nodes with a carrier; and what every provider of "carrier" must hold, over the plugin mesh.
carrier_nodes = %D%/carrier_nodes.c %D%/carrier_nodes.h
check_PROGRAMS += %D%/carrier_contract
%C%_carrier_contract_SOURCES = %D%/carrier_contract.c %D%/carrier_contract.h %D%/carrier_mesh.c $(carrier_nodes)
%C%_carrier_contract_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
