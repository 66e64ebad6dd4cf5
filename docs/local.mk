## SPDX-License-Identifier: Apache-2.0
## What people read. Installed with its folders, so that links between the pages hold.
nobase_dist_doc_DATA += \
	README.md HACKING.md NEWS.md \
	%D%/PRINCIPLES.md %D%/PLUGIN.md
