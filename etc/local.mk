## SPDX-License-Identifier: Apache-2.0
## Configurations, installed to $(sysconfdir)/diarkis. To enable: remove the two # of the line below.
##dist_diarkissysconf_DATA += %D%/diarkis.conf
