"""The data of a run's config."""

from dataclasses import replace

from oasis_jax.config import Config, Data
from oasis_jax.data.dataset import Dataset, load_dataset
from oasis_jax.data.phantoms.dataset import default_tree
from oasis_jax.system import console, distributed
from oasis_jax.system.errors import UserError


def open_data(config: Config, splits: tuple[str, ...]) -> Dataset:
    """The checked tree of a config; the phantoms are made first where it asks for them.

    What the tree says of its spacing comes before the setting.
    """
    if (named := config.data.root) is not None and not named.is_dir():
        raise UserError(
            f"{named} is not a folder: name the one that holds keras_png_slices_train now with --data-root."
        )
    with distributed.main_process_first():
        root = config.data.root or default_tree(console.track)
        tree = load_dataset(root, splits, console.track)
    distributed.assert_equal(tree.fingerprints, f"does not have the same slices in {root}")
    if tree.spacing is None:
        return replace(tree, spacing=config.data.spacing_mm)
    if config.data.spacing_mm not in (tree.spacing, Data().spacing_mm):  # it was asked for, and is not used
        mm = " ".join(map(str, tree.spacing))
        console.say(f"Note: pixels are {mm} mm, as {root} says; data.spacing_mm is not used.")
    return tree
