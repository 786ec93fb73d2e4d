"""N4 bias field correction and Atropos (ANTs):  python atropos.py IMAGE MASK OUTPUT"""

import sys

import ants  # pyright: ignore[reportMissingImports]  # in an environment of its own

image, mask = (ants.image_read(path) for path in sys.argv[1:3])
mask = ants.threshold_image(mask, 1)
corrected = ants.n4_bias_field_correction(image, mask)
found = ants.atropos(a=corrected, x=mask, i="kmeans[3]", m="[0.2,1x1x1]", c="[5,0]")["segmentation"]
ants.image_write(found.clone("unsigned char"), sys.argv[3])  # 1 CSF, 2 gray matter, 3 white matter
