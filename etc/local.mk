## SPDX-License-Identifier: Apache-2.0
## Configurations, installed to $(sysconfdir)/diarkis.
dist_diarkissysconf_DATA += %D%/diarkis.conf
## Nodes of a cluster, one file for each kind.
diarkisclusterdir = $(diarkissysconfdir)/cluster
dist_diarkiscluster_DATA = %D%/cluster/mesh.inc %D%/cluster/mars.conf %D%/cluster/http.conf %D%/cluster/udp.conf %D%/cluster/tcp.conf
