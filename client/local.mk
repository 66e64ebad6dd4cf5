## SPDX-License-Identifier: Apache-2.0
## libdiarkis-client: a core without I/O, a poll API, a libuv driver.
## To enable: remove the two # of each line below. diarkis/client.h lies in include/ and is listed there.
##lib_LTLIBRARIES += %D%/libdiarkis-client.la
##%C%_libdiarkis_client_la_SOURCES = %D%/client.c
##%C%_libdiarkis_client_la_LIBADD = $(wire_lib) $(UV_LIBS)
##%C%_libdiarkis_client_la_LDFLAGS = $(AM_LDFLAGS) $(DK_ZDEFS) -version-info 0:0:0
##pkgconfig_DATA += %D%/diarkis-client.pc
