"""The peers of the benchmarks compute what the package computes, and the tables of the benchmarks are right."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import figures
import pytest
import worker
from epoch import epoch_rows
from helpers import REPOSITORY, SIZE
from step import HEAD
from trees import draw, repeat

from oasis_jax.data.dataset import load_dataset

NETWORKS = {
    "original": 'Model(stem=2, norm="none", segmentation="3x3", dropout=0.3, crop=None)',
    "oasis": 'Model(stem=2, norm="instance", segmentation="1x1", dropout=0.0, crop=(96, 64))',
    "paper": 'Model(stem=2, norm="instance", segmentation="3x3", pre_activation=True, dropout=0.3, crop=None)',
}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("peer", ["torch", "tensorflow"])
def test_a_peer_agrees_in_logits_losses_and_counts_and_is_timed(peer: str, network: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(peer) is None:
        pytest.skip(f'{peer} is not installed: pip install -e ".[peers]"')
    experiment = tmp_path / "experiment.py"
    optim = "Optim(weight_decay=1e-4, cross_entropy=1.0)" if network == "oasis" else "Optim(weight_decay=0.0)"
    imports = "from oasis_jax.config import Config, Model, Optim"
    experiment.write_text(f"{imports}\nconfig = Config(model={NETWORKS[network]}, optim={optim})\n")
    options = ["--size", "112", "96", "--batch", "2", "--turns", "2", "--steps", "1", "--against", peer]
    done = subprocess.run(
        [sys.executable, REPOSITORY / "benchmarks/step.py", experiment, *options, "--mode", "train"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )
    assert done.returncode == 0, done.stderr
    ours, theirs = (
        dict(zip(HEAD, (cell.strip() for cell in line.strip("|").split("|")), strict=True))
        for line in done.stdout.splitlines()[-2:]
    )
    assert (ours["framework"], theirs["framework"]) == ("ours", peer)
    assert ours["time over ours"] == "1 (1 to 1)"
    assert 0 < float(theirs["logits differ by"]) <= 1e-4
    assert float(theirs["losses differ by"]) <= 1e-3


@pytest.mark.parametrize("wrong", [{"logits": 2e-4}, {"losses": float("nan")}, {"counts": 0.01}])
def test_a_framework_that_computes_something_else_is_not_timed(wrong: dict[str, float]) -> None:
    right = {"logits": 1e-5, "losses": 1e-5, "counts": 0.0}
    worker.judge(right)
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} differ"):
        worker.judge(right | wrong)


def test_figures_are_medians_with_their_range_in_tables() -> None:
    assert figures.spread([3.0, 1.0, 2.0]) == "2 (1 to 3)"
    assert figures.format_number(0.00012345) == "0.000123"
    assert figures.format_number(123456.0) == "123,000"
    assert figures.markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_an_epochs_row_leaves_out_compiling_and_validation() -> None:
    # Two epochs of three steps of 8; a second a step, the first takes 50, validation 7 (and 100 to compile it).
    times = {"start": [0.0, 50, 51, 152, 153, 154], "input": [9.0, 0.25, 0.5, 0.25, 0.25, 0.5], "validate": [7.0, 7.0]}
    assert epoch_rows(times, 3, 8) == [["1", "1", "1", "8", "25.00%", "7"], ["2", "2", "2", "8", "25.00%", "7"]]


def test_a_tree_of_links_has_as_many_slices_as_asked_for(tmp_path: Path) -> None:
    root = repeat(tmp_path / "tree", draw(tmp_path / "drawn", SIZE), {"train": 70, "test": 3})
    tree = load_dataset(root, ("train", "test"))
    assert {split: len(pairs) for split, pairs in tree.splits.items()} == {"train": 70, "test": 3}
    assert len(set(tree.subjects)) == 4
