## SPDX-License-Identifier: Apache-2.0
## libwire: bytes of the wire, hidden symbols, linked into whoever speaks it.
noinst_LTLIBRARIES += %D%/libwire.la
%C%_libwire_la_SOURCES = \
	%D%/wire.h %D%/peer.h %D%/stream.h \
	%D%/ctx.c %D%/ctx.h %D%/pool.c %D%/pool.h \
	%D%/siphash.c %D%/siphash.h \
	%D%/seal.c %D%/seal.h %D%/frame.c %D%/frame.h \
	%D%/split.c %D%/split.h %D%/outq.c %D%/outq.h %D%/rudp.c %D%/rudp.h \
	%D%/peer.c %D%/peer_in.c %D%/peer_out.c %D%/peer_move.c %D%/peer_priv.h %D%/proof.c \
	%D%/stream.c %D%/util.c %D%/link.c \
	%D%/cluster.c %D%/cluster.h %D%/cluster_key.c %D%/cluster_unit.c %D%/cluster_unit.h \
	%D%/cluster_guest.c %D%/cluster_guest.h
%C%_libwire_la_LIBADD = $(CRYPTO_LIBS)
