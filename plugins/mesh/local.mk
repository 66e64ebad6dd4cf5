## SPDX-License-Identifier: Apache-2.0
## The plugin mesh: links between nodes, service "carrier".
mesh_sources = %D%/mesh.c %D%/mesh_peer.c %D%/mesh_contact.c %D%/mesh_link.c %D%/mesh_call.c %D%/mesh_operator.c %D%/mesh_tree.c %D%/mesh_state.h \
	%D%/mesh_queue.c %D%/mesh_queue.h
plugin_LTLIBRARIES += plugins/mesh.la
plugins_mesh_la_SOURCES = $(mesh_sources)
plugins_mesh_la_LIBADD = $(wire_lib) $(kernel_lib)
plugins_mesh_la_LDFLAGS = $(plugin_ldflags)
EXTRA_DIST += %D%/README.md %D%/mesh.conf
check_PROGRAMS += %D%/tests/test_mesh
%C%_tests_test_mesh_SOURCES = %D%/tests/test_mesh.c $(carrier_nodes)
%C%_tests_test_mesh_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_guest
%C%_tests_test_guest_SOURCES = %D%/tests/test_guest.c $(carrier_nodes)
%C%_tests_test_guest_LDADD = $(harness_lib) $(kernel_lib) $(wire_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_links
%C%_tests_test_links_SOURCES = %D%/tests/test_links.c $(carrier_nodes)
%C%_tests_test_links_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_options
%C%_tests_test_options_SOURCES = %D%/tests/test_options.c $(carrier_nodes)
%C%_tests_test_options_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_queue
## Its own object: that of the plugin is made by libtool.
%C%_tests_test_queue_SOURCES = %D%/tests/test_queue.c %D%/mesh_queue.c %D%/mesh_queue.h
%C%_tests_test_queue_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_queue_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
