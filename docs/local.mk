## SPDX-License-Identifier: Apache-2.0
## What people read. Installed with its folders, so that links between the pages hold.
nobase_dist_doc_DATA += \
	README.md HACKING.md NEWS.md \
	%D%/ABI.md %D%/CLUSTER.md %D%/DEPENDENCIES.md %D%/FEATURES.md %D%/MIGRATION.md %D%/OPERATIONS.md %D%/PERFORMANCE.md %D%/PLUGIN.md \
	%D%/PRINCIPLES.md %D%/TOUR.md %D%/WIRE.md \
	%D%/notes/2026-11-id52.md %D%/notes/2026-11-legacy-bytes.md %D%/notes/2026-11-one-loop-per-node.md \
	%D%/notes/2026-11-timers-and-output.md \
	plugins/dm/README.md plugins/endpoint/README.md plugins/mars/README.md plugins/mesh/README.md plugins/notifier/README.md \
	plugins/room/README.md plugins/user/README.md
