## SPDX-License-Identifier: Apache-2.0
## The public headers, installed to $(includedir)/diarkis.
diarkisinclude_HEADERS += \
	%D%/diarkis/abi.h \
	%D%/diarkis/base.h \
	%D%/diarkis/carrier.h \
	%D%/diarkis/cluster.h \
	%D%/diarkis/command.h \
	%D%/diarkis/conf.h \
	%D%/diarkis/cursor.h \
	%D%/diarkis/deprecated.h \
	%D%/diarkis/derror.h \
	%D%/diarkis/diarkis.h \
	%D%/diarkis/err.h \
	%D%/diarkis/log.h \
	%D%/diarkis/loop.h \
	%D%/diarkis/mem.h \
	%D%/diarkis/packed.h \
	%D%/diarkis/packet.h \
	%D%/diarkis/plugin.h \
	%D%/diarkis/self.h \
	%D%/diarkis/service.h \
	%D%/diarkis/signal.h \
	%D%/diarkis/td.h \
	%D%/diarkis/test.h \
	%D%/diarkis/transport.h \
	%D%/diarkis/util.h \
	%D%/diarkis/uuid.h \
	%D%/diarkis/value.h
nodist_diarkisinclude_HEADERS += %D%/diarkis/version.h
