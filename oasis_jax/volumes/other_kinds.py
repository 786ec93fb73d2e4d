"""Files that are no image although their name says so: what they are, and what to do."""

import re

_KINDS = {
    rb"\Z": "an empty file: copy it again",
    rb"version https://git-lfs": "a Git LFS pointer, not the file itself: run git lfs pull where it lies",
    rb"/annex/objects/": "a git-annex pointer, not the file itself: run git annex get (in DataLad: datalad get)",
    rb"\s*<(?i:!doctype|html|head|\?xml)": "a web page, perhaps a login or an error: download the file again",
    rb"(?s:.{128})DICM": "a DICOM file: convert its series to NIfTI, for example with dcm2niix",
    rb"PK\x03\x04": "a ZIP archive: unpack it",
    rb"\xff\xd8\xff": "a JPEG image: save it as PNG",
    # Without that flag, nibabel would make up the orientation and the size of the voxels.
    rb"\0\0\0\x01(?s:.{24})\0\0(?s:.{254})": "an MGH file that does not say how it lies (its goodRASFlag is 0): "
    "write it again with its orientation, for example with mri_convert --in_orientation",
}
"""What files are that begin like this."""


def other_kind(block: bytes) -> str | None:
    """What a file is that is no image, and what to do: "an empty file: copy it again". None if it is not known.

    Args:
        block: the first 1024 bytes of the file, or all if it has less.
    """
    return next((kind for start, kind in _KINDS.items() if re.match(start, block)), None)
