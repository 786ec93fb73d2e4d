"""Open the data that a config names."""

from dataclasses import replace

from oasis_jax.config import Config, Data
from oasis_jax.data.dataset import Dataset, load_dataset
from oasis_jax.data.phantoms.dataset import default_tree
from oasis_jax.system import console, distributed
from oasis_jax.system.errors import UserError


def open_data(config: Config, splits: tuple[str, ...]) -> Dataset:
    """Load and check the data of a config; draw the phantoms first if it names no data.

    The spacing in the tree takes precedence over the setting.

    Raises:
        UserError: there is no such folder, the slices cannot be used, or the processes see different slices.
    """
    if config.data.root is not None and not config.data.root.is_dir():
        raise UserError(
            f"{config.data.root} is not a folder: set --data-root to the one that holds keras_png_slices_train."
        )
    with distributed.main_process_first():
        root = config.data.root or default_tree(console.track)
        tree = load_dataset(root, splits, console.track)
    distributed.assert_equal(tree.fingerprints, f"does not have the same slices in {root}")
    if tree.spacing is None:
        return replace(tree, spacing=config.data.spacing_mm)
    if config.data.spacing_mm not in (tree.spacing, Data().spacing_mm):  # the user asked for another one
        mm = " ".join(map(str, tree.spacing))
        console.say(f"Note: {root} says that its pixels are {mm} mm; data.spacing_mm is not used.")
    return tree
