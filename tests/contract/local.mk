## SPDX-License-Identifier: Apache-2.0
## What every plugin must hold: one suite, run over each .so in $DIARKIS_TEST_PLUGINS.
