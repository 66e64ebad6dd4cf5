## SPDX-License-Identifier: Apache-2.0
## The public headers, installed to $(includedir)/diarkis.
diarkisinclude_HEADERS += \
	%D%/diarkis/base.h \
	%D%/diarkis/cursor.h
nodist_diarkisinclude_HEADERS += %D%/diarkis/version.h
