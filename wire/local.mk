## SPDX-License-Identifier: Apache-2.0
## libwire: bytes of the wire, hidden symbols, linked into whoever speaks it.
## To enable: remove the two # of each line below.
##noinst_LTLIBRARIES += %D%/libwire.la
##%C%_libwire_la_SOURCES = \
##	%D%/wire.h \
##	%D%/peer.c
##%C%_libwire_la_LIBADD = $(CRYPTO_LIBS)
