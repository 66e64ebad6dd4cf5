## SPDX-License-Identifier: Apache-2.0
## The plugin tcp: TCP.
plugin_LTLIBRARIES += plugins/tcp.la
plugins_tcp_la_SOURCES = %D%/tcp.c %D%/../utility.c %D%/../utility.h
plugins_tcp_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/%D%/..
plugins_tcp_la_LIBADD = $(wire_lib) $(kernel_lib)
plugins_tcp_la_LDFLAGS = $(plugin_ldflags)
EXTRA_DIST += %D%/README.md %D%/tcp.conf
