## SPDX-License-Identifier: Apache-2.0
## Configurations, installed to $(sysconfdir)/diarkis.
dist_diarkissysconf_DATA += %D%/diarkis.conf
