"""Whole volumes against their labels, on their own voxels, in any orientation and spacing."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from helpers import ALL_WAYS, FRAMING, assert_mistake, brain, by_grey, command, patterns, save

from oasis_jax.data.volumes.study import Scan
from oasis_jax.evaluation import volumes
from oasis_jax.evaluation.result import Evaluated
from oasis_jax.evaluation.summary import measure
from oasis_jax.metrics import surface

VALUES = ((0,), (1,), (2,), (3,))


def untracked(items: object, total: int, title: str) -> object:
    return items


def evaluate(scans: list[Scan]) -> Evaluated:
    return volumes.evaluate_volumes(scans, VALUES, FRAMING, by_grey, lambda _: 4, 1.0, untracked)  # pyright: ignore


def scan(folder: Path, name: str, subject: str, spacing: tuple[float, float, float], way: str, wrong: int = 0) -> Scan:
    """A scan whose label volume is shifted by so many voxels toward the right, so that the prediction is wrong."""
    shape = tuple(round(n / mm) for n, mm in zip((37, 50, 30), spacing, strict=True))
    values, truth = brain((shape[0], shape[1], shape[2]), spacing)
    image = save(folder / f"{name}_t1.nii.gz", values, spacing, way=way)
    label = save(folder / f"{name}_seg.nii.gz", np.roll(truth, wrong, axis=0), spacing, way=way)
    return Scan(subject, name, image, label)


def test_counts_surfaces_and_millilitres_are_those_of_the_volumes(tmp_path: Path) -> None:
    scans = [
        scan(tmp_path, "a", "x", (1.0, 1.0, 1.0), ALL_WAYS[5], wrong=2),
        scan(tmp_path, "b", "y", (1.0, 1.0, 2.0), ALL_WAYS[20]),
    ]
    found = evaluate(scans)
    told = measure(found)[0]
    assert found.whole
    assert [len([p for p in found.pairs if p.case == case]) for case in ("x-a", "y-b")] == [30, 15]
    for i, (case, spacing) in enumerate((("x-a", (1.0, 1.0, 1.0)), ("y-b", (1.0, 1.0, 2.0)))):
        mine = [k for k, pair in enumerate(found.pairs) if pair.case == case]
        truth = np.stack([found.slices[k][1] for k in mine])
        predicted = np.stack([found.predictions[k] for k in mine])
        wanted = surface.compare(truth, predicted, (spacing[2], *spacing[:2]))
        assert found.surfaces is not None
        np.testing.assert_allclose(found.surfaces.hausdorff[i], wanted.hausdorff)
        np.testing.assert_allclose(found.surfaces.near[i], wanted.near)
        for name, k in (("CSF", 1), ("white matter", 3)):
            amount = told.tissue.each[case].true.named()[name]
            assert amount == pytest.approx((truth == k).sum() * np.prod(spacing) / 1000)
        counts = np.bincount((4 * truth.astype(int) + predicted).ravel(), minlength=16).reshape(4, 4)
        assert np.array_equal(found.table.confusion[mine].sum(0), counts)
    assert (told.surfaces.each, told.tissue.unit, told.tissue.of) == ("volume", "ml", "whole volumes")
    dice = told.hard_dice_per_subject.each
    assert dice["x"].csf + 0.1 < dice["y"].csf  # the first is shifted; thick slices make rings of tissue rough
    assert told.surfaces.hausdorff95_mm.csf >= 1


def test_the_command_writes_a_report_of_volumes_and_names_mistakes(
    finished: Path,
    study: Path,
) -> None:
    images, labels = patterns(study)
    done = command("evaluate", finished, "--images", images, "--labels", labels)
    assert done.returncode == 0, done.stderr
    assert "of 4 subjects" in done.stdout
    assert "these are whole volumes" in " ".join(done.stdout.split())
    folder = finished / "evaluation" / "volumes"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["scores"]["tissue"]["scans"] == 5
    assert metrics["scores"]["tissue"]["retest"]["subjects"] == 1
    with (folder / "tissue.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["case"] for row in rows} == {"2-a", "10-a", "x-a", "x-b", "y-a"}
    assert (folder / "report.html").stat().st_size > 10_000
    compared = command("compare", finished, "--split", "volumes")
    assert compared.returncode == 0, compared.stderr
    assert_mistake(command("evaluate", finished, "--images", images), "need both --images and --labels")
    assert_mistake(
        command("evaluate", finished, "--images", images, "--labels", labels, "--split", "test"), "leave out --split"
    )
    assert_mistake(command("evaluate", finished, "--images", images, "--labels", labels, "--csf", "3"), "claimed twice")
    assert_mistake(command("evaluate", finished, "--images", labels, "--labels", images), "which no class claims")
    nothing = ("--background", "0", "1", "2", "3", "--csf", "11", "--gray", "12", "--white", "13")
    assert_mistake(command("evaluate", finished, "--images", images, "--labels", labels, *nothing), "labels no brain")
    assert_mistake(
        command("evaluate", finished, "--images", f"{study}/none-{{subject}}.nii", "--labels", labels),
        "no file matches",
    )
