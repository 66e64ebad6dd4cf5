# SPDX-License-Identifier: Apache-2.0
# diarkis.m4: for plugins built outside the diarkis tree.

# DIARKIS_PLUGIN([VERSION])
# -------------------------
# Finds diarkis (at least VERSION, when given) by pkg-config, and substitutes
#   DIARKIS_CFLAGS, DIARKIS_LIBS     to compile and link with
#   DIARKIS_PLUGIN_LDFLAGS           for libtool: makes a module that exports its descriptor and nothing else
#   diarkisplugindir                 where plugins are installed: diarkisplugin_LTLIBRARIES = mine.la
# configure takes --with-diarkisplugindir=DIR to install somewhere else.
AC_DEFUN([DIARKIS_PLUGIN], [
	AC_REQUIRE([PKG_PROG_PKG_CONFIG])
	PKG_CHECK_MODULES([DIARKIS], [diarkis]m4_ifval([$1], [ >= $1]))
	AC_ARG_WITH([diarkisplugindir],
		[AS_HELP_STRING([--with-diarkisplugindir=DIR], [install the plugin there])],
		[diarkisplugindir=$withval],
		[diarkisplugindir=$($PKG_CONFIG --variable=plugindir diarkis)])
	AC_SUBST([diarkisplugindir])
	AC_SUBST([DIARKIS_PLUGIN_LDFLAGS], ["-module -avoid-version -shared -Wl,-z,defs -export-symbols-regex ^dk_plugin_"])
])
