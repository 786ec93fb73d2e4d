"""The brain mask of deepbet:  python brain_mask.py IMAGE OUTPUT"""

import sys

from deepbet import run_bet  # pyright: ignore[reportMissingImports]  # in an environment of its own

run_bet([sys.argv[1]], mask_paths=[sys.argv[2]], no_gpu=True)
