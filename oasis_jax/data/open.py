"""Open the data that a config names."""

from dataclasses import replace

from oasis_jax.config import Config, Data
from oasis_jax.data.dataset import Dataset, load_dataset
from oasis_jax.data.join import join, without
from oasis_jax.data.phantoms.dataset import default_tree
from oasis_jax.data.slices import folders_of
from oasis_jax.system import console, distributed
from oasis_jax.system.errors import UserError


def open_data(config: Config, splits: tuple[str, ...]) -> Dataset:
    """Load and check the data of a config; draw the phantoms first if it names no data.

    The spacing in the tree takes precedence over the setting.

    Raises:
        UserError: there is no such folder, the slices cannot be used, or the processes see different slices.
    """
    for folder in filter(None, (config.data.root, *config.data.join)):
        if not folder.is_dir():
            raise UserError(f"{folder} is not a folder: set --data-root to the one that holds keras_png_slices_train.")
    with distributed.main_process_first():
        roots = (config.data.root or default_tree(console.track), *config.data.join)
        trees = [load_dataset(root, splits, console.track, partial=len(roots) > 1) for root in roots]
    if "train" in splits:
        trees = without(trees, config.data.leave_out)
    tree = join([_spaced(tree, config.data) for tree in trees])
    if missing := [folders_of(split)[0] for split in splits if split not in tree.splits]:
        raise UserError(f"None of the joined folders has {missing[0]}: join one that has it.")
    distributed.assert_equal(tree.fingerprints, f"does not have the same slices in {' and '.join(map(str, roots))}")
    return tree


def _spaced(tree: Dataset, data: Data) -> Dataset:
    """A tree with the spacing of the config, unless the tree itself says it."""
    own = tree.cut.spacing
    if own is None:
        return replace(tree, spacing=dict.fromkeys(tree.spacing, data.spacing_mm))
    if data.spacing_mm not in (own, Data().spacing_mm):  # the user asked for another one
        mm = " ".join(map(str, own))
        console.say(f"Note: {tree.root} says that its pixels are {mm} mm; data.spacing_mm is not used.")
    return tree
