## SPDX-License-Identifier: Apache-2.0
## libdiarkis: the kernel. The objects lie in a library of their own so that unit tests reach its private functions.
noinst_LTLIBRARIES += %D%/libkernel.la
%C%_libkernel_la_SOURCES = \
	%D%/kernel.h \
	%D%/env.h \
	%D%/command.c \
	%D%/error.c \
	%D%/graph.c \
	%D%/kernel.c \
	%D%/ledger.c \
	%D%/life.c \
	%D%/loader.c \
	%D%/log.c \
	%D%/mem.c \
	%D%/node.c \
	%D%/payload.c \
	%D%/payload.h \
	%D%/task.c \
	%D%/typed.c \
	%D%/conf/config.c \
	%D%/conf/explain.c \
	%D%/conf/nearest.c \
	%D%/conf/options.c \
	%D%/conf/source.c \
	%D%/conf/tree.c \
	%D%/env/addr.c \
	%D%/env/io.c \
	%D%/env/resolve.c \
	%D%/env/stream.c \
	%D%/env/udp.c \
	%D%/env/uv.c \
	%D%/env/uv_sock.c \
	%D%/env/uv_tcp.c \
	%D%/env/uv_udp.c \
	%D%/env/uv_world.h \
	%D%/env/wheel.c
%C%_libkernel_la_CPPFLAGS = $(AM_CPPFLAGS) -DDK_PLUGIN_DIR='"$(plugindir)"' -DDK_SYSCONF_DIR='"$(diarkissysconfdir)"'
%C%_libkernel_la_LIBADD = $(UV_LIBS) $(LIBCONFIG_LIBS) $(LIBFFI_LIBS) $(JANSSON_LIBS)
lib_LTLIBRARIES += %D%/libdiarkis.la
%C%_libdiarkis_la_SOURCES =
%C%_libdiarkis_la_LIBADD = %D%/libkernel.la
%C%_libdiarkis_la_LDFLAGS = $(AM_LDFLAGS) $(DK_ZDEFS) -version-info 0:0:0
pkgconfig_DATA += %D%/diarkis.pc
