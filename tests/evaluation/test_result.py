"""A whole evaluation: all scores of slices, subjects and scans, in the tables for users and the files for programs."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from checked import present
from helpers import blob, evaluated, finished_result

from oasis_jax.classes import CLASSES, NAMES
from oasis_jax.data.slices import Slice
from oasis_jax.evaluation import record, tissue
from oasis_jax.evaluation.counting import Evaluated, validation_scores
from oasis_jax.evaluation.record import Metrics, SubjectCounts, read_record
from oasis_jax.evaluation.result import Result
from oasis_jax.evaluation.scores import Scores
from oasis_jax.geometry import Spacing
from oasis_jax.metrics import agreement, surface
from oasis_jax.report import tables
from oasis_jax.report.write import write_evaluation
from oasis_jax.system import records
from oasis_jax.system.errors import UserError

metrics_of = pytest.importorskip("sklearn.metrics")


def made_up(seed: int, cases: Sequence[tuple[str, str, int]], spacing: Spacing | None = (1.0, 1.0, 1.0)) -> Evaluated:
    """An evaluation of scans (case, subject, number of slices) with some wrong pixels."""
    rng = np.random.default_rng(seed)
    pairs = [Slice(case, k, Path(), Path()) for case, _, count in cases for k in range(count)]
    slices = [blob(rng, (24, 32)) for _ in pairs]
    predictions = [
        np.where(rng.random(t.shape) < 0.15, rng.integers(0, 4, t.shape), t).astype(np.uint8) for _, t in slices
    ]
    return evaluated(pairs, {case: subject for case, subject, _ in cases}, slices, predictions, spacing)


def scores_of(evaluation: Evaluated) -> Scores:
    return finished_result(evaluation).metrics.scores


CASES = [("1", "anna", 3), ("2", "bob", 1), ("3", "anna", 2)]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    result = finished_result(made_up(0, CASES))
    folder = tmp_path_factory.mktemp("result") / "evaluation"
    write_evaluation(result, folder, Path("nowhere"))
    return result, folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def expected(truth: np.ndarray, prediction: np.ndarray, k: int) -> dict[str, float]:
    """Overlap scores of scikit-learn."""
    true, predicted = (truth == k).ravel(), (prediction == k).ravel()
    names = {"hard_dice": "f1", "jaccard": "jaccard", "precision": "precision", "recall": "recall"}
    return {name: getattr(metrics_of, f"{call}_score")(true, predicted) for name, call in names.items()}


def test_per_slice_scores_are_those_of_the_pixels(written: tuple[Result, Path]) -> None:
    evaluation, rows = written[0].evaluated, table(written[1] / "per_slice.csv")
    assert len(rows) == 4 * len(evaluation.pairs)
    for i, (pair, (_, truth), prediction) in enumerate(
        zip(evaluation.pairs, evaluation.slices, evaluation.predictions, strict=True)
    ):
        sides = surface.row(truth, prediction, (1.0, 1.0))
        for k, row in enumerate(rows[4 * i : 4 * i + 4]):
            place = [row[name] for name in ("index", "case", "subject", "slice", "class")]
            assert place == [str(i), pair.case, evaluation.subjects[pair.case], str(pair.number), NAMES[k]]
            for name, value in expected(truth, prediction, k).items():
                assert float(row[name]) == pytest.approx(value, abs=1e-6)
            if k:
                assert float(row["hd95_mm"]) == pytest.approx(sides.hausdorff[k - 1], abs=1e-6)
                assert float(row["surface_dice"]) == pytest.approx(sides.near[k - 1] / sides.size[k - 1], abs=1e-6)
            else:
                assert row["hd95_mm"] == row["surface_dice"] == ""


def test_per_subject_scores_are_those_of_all_its_pixels(written: tuple[Result, Path]) -> None:
    evaluation, each = written[0].evaluated, written[0].metrics.scores.hard_dice_per_subject.each
    rows = {(row["subject"], row["class"]): row for row in table(written[1] / "per_subject.csv")}
    assert len(rows) == 8
    for subject, count in (("anna", 5), ("bob", 1)):
        own = [i for i, name in enumerate(evaluation.slice_subjects) if name == subject]
        truth = np.stack([evaluation.slices[i][1] for i in own])
        prediction = np.stack([evaluation.predictions[i] for i in own])
        for k, name in enumerate(NAMES):
            assert int(rows[subject, name]["slices"]) == count
            for score, value in expected(truth, prediction, k).items():
                assert float(rows[subject, name][score]) == pytest.approx(value, abs=1e-6)
            assert each[subject][name] == pytest.approx(float(rows[subject, name]["hard_dice"]), abs=1e-6)
        sides = surface.table(surface.row(*pair, (1.0, 1.0)) for pair in zip(truth, prediction, strict=True))
        csf = rows[subject, "CSF"]
        assert float(csf["surface_dice"]) == pytest.approx(sides.near[:, 0].sum() / sides.size[:, 0].sum(), abs=1e-6)
        assert float(csf["hd95_mm"]) == pytest.approx(sides.hausdorff[:, 0].mean(), abs=1e-6)


def test_pooled_scores_are_those_of_all_pixels_and_statistics_are_over_subjects(written: tuple[Result, Path]) -> None:
    evaluation, scores = written[0].evaluated, written[0].metrics.scores
    truth, prediction = np.stack([truth for _, truth in evaluation.slices]), np.stack(evaluation.predictions)
    for k, name in enumerate(NAMES):
        for pooled, score in expected(truth, prediction, k).items():
            assert getattr(scores, f"{pooled}_pooled")[name] == pytest.approx(score)
    dice = scores.hard_dice_per_subject
    for name in CLASSES:
        values = [present(own[name]) for own in dice.each.values()]
        assert dice.mean[name] == pytest.approx(np.mean(values))
        assert dice.standard_deviation[name] == pytest.approx(np.std(values, ddof=1))
        assert dice.worst[name] == pytest.approx(min(values))
    for own in (scores.hard_dice_pooled, *dice.each.values()):
        assert own["foreground mean"] == pytest.approx(np.mean([present(own[name]) for name in NAMES[1:]]))
    assert (scores.slices, scores.subjects) == (6, 2)


def test_slices_are_ranked_by_the_foreground_classes_they_have() -> None:
    truth, prediction = np.zeros((2, 3, 2, 4), np.uint8)  # the first slice has only background: NaN
    truth[1, 0] = prediction[1, 0] = 1  # CSF alone, right
    truth[2, 0], prediction[2, 0, :2] = 2, 2  # half of the gray matter missed
    pairs = [Slice("1", k, Path(), Path()) for k in range(3)]
    found = evaluated(pairs, {"1": "a"}, list(zip(truth, truth, strict=True)), list(prediction), None)
    ranking = finished_result(found).ranking
    assert np.isnan(ranking[0])
    assert ranking[1:].tolist() == pytest.approx([1.0, 2 * 2 / 6])


def test_tissue_is_measured_by_scan_in_ml(written: tuple[Result, Path]) -> None:
    evaluation, rows = written[0].evaluated, table(written[1] / "tissue.csv")
    assert [(row["case"], row["subject"]) for row in rows[::3]] == [("1", "anna"), ("2", "bob"), ("3", "anna")]
    for row in rows:
        own = [i for i, pair in enumerate(evaluation.pairs) if pair.case == row["case"]]
        k = NAMES.index(row["class"])
        assert row["unit"] == "ml"
        assert float(row["true"]) == pytest.approx(sum((evaluation.slices[i][1] == k).sum() for i in own) / 1000)
        assert float(row["predicted"]) == pytest.approx(sum((evaluation.predictions[i] == k).sum() for i in own) / 1000)


def test_the_unit_depends_on_the_spacing() -> None:
    assert tissue.unit((0.5, 2.0, 4.0)) == ("ml", pytest.approx(0.004))
    assert tissue.unit((0.5, 2.0, None)) == ("cm²", pytest.approx(0.01))
    assert tissue.unit(None) == ("pixels", 1.0)
    assert scores_of(made_up(0, CASES, None)).surfaces is None
    assert scores_of(made_up(0, CASES, (2.0, 2.0, None))).tissue.unit == "cm²"


def test_agreement_is_over_scans_and_a_rescan_is_compared_with_the_first() -> None:
    cases = [*((str(i), f"s{i}", 2) for i in range(8)), ("9", "s0", 1)]
    measured = scores_of(made_up(1, cases)).tissue
    true, predicted = (
        np.array([list(getattr(scan, side).values()) for scan in measured.each.values()])
        for side in ("true", "predicted")
    )
    wanted = agreement.agreement(true, predicted)
    for name in ("bias", "low", "high", "icc"):
        assert list(getattr(measured, name).values()) == pytest.approx(getattr(wanted, name))
    assert measured.scans == 9
    assert measured.retest is not None
    assert measured.retest.subjects == 1
    for side, values in ((measured.retest.true, true), (measured.retest.predicted, predicted)):
        difference = abs(values[8] - values[0])
        assert list(side.mean_difference.values()) == pytest.approx(difference)
        percent = 100 * difference / ((values[0] + values[8]) / 2)
        assert list(side.percent.values()) == pytest.approx(percent)
    few = scores_of(made_up(1, cases[:7])).tissue
    assert few.retest is None
    assert None not in few.bias.values()
    assert few.low == few.high == few.icc == dict.fromkeys(NAMES[1:])


def test_from_eight_subjects_on_every_pooled_score_has_an_interval_that_holds_it() -> None:
    cases = [(str(i), f"s{i}", 2) for i in range(8)]
    few, many = scores_of(made_up(2, cases[:7])), scores_of(made_up(2, cases))
    for scores in (few, present(few.surfaces), *few.baselines.values()):
        assert set(scores.intervals.values()) == {None}
    for scores in (many, present(many.surfaces), *many.baselines.values()):
        for name, interval in scores.intervals.items():
            low, high = present(interval)["low"], present(interval)["high"]
            for k, value in getattr(scores, name).items():
                if value is not None:
                    assert low[k] <= value <= high[k], (name, k)
    assert few.calibration.interval is None
    interval = present(many.calibration.interval)
    assert present(interval["low"]) <= present(many.calibration.expected_error) <= present(interval["high"])


def test_a_class_that_no_label_has_and_a_subject_of_one_slice_are_evaluated(tmp_path: Path) -> None:
    evaluation = made_up(3, CASES)
    slices = [(image, np.minimum(truth, 2)) for image, truth in evaluation.slices]
    predictions = [np.minimum(p, 2) for p in evaluation.predictions]
    bare = evaluated(evaluation.pairs, evaluation.subjects, slices, predictions)
    assert validation_scores(bare.table).hard_dice[3] is None
    result = finished_result(bare)
    scores = result.metrics.scores
    dice, surfaces = scores.hard_dice_per_subject, present(scores.surfaces)
    for values in (scores.hard_dice_pooled, dice.mean, surfaces.surface_dice_pooled, scores.tissue.icc):
        assert values["white matter"] is None
    assert scores.hard_dice_pooled["foreground mean"] is None
    assert dice.subjects_left_out == dict(zip(NAMES, (0, 0, 0, 2), strict=True))
    assert surfaces.without_class["white matter"] == scores.slices_without_class["white matter"] == len(slices)
    assert scores.soft_dice_per_slice["white matter"] == 0
    assert present(scores.hard_dice_pooled["CSF"]) > 0.5
    assert f"white matter is absent from {len(slices)} slices, counted as soft Dice 0." in tables.notes(scores)
    write_evaluation(result, tmp_path / "bare", Path("nowhere"))
    result = finished_result(made_up(4, [("1", "anna", 1)]))
    scores = result.metrics.scores
    assert scores.hard_dice_per_subject.standard_deviation["CSF"] is None
    assert scores.tissue.low["CSF"] is None
    write_evaluation(result, tmp_path / "single", Path("nowhere"))


def test_files_come_back_as_they_were_also_older_ones_and_others_are_refused(tmp_path: Path) -> None:
    result = finished_result(made_up(6, [(str(i), f"s{i}", 1) for i in range(8)]), ("r", "q"))
    file = tmp_path / "metrics.json"
    file.write_text(record.text(result.counts))
    assert records.to_json(read_record(SubjectCounts, file)) == records.to_json(result.counts)
    file.write_text(record.text(result.metrics))
    assert read_record(Metrics, file) == result.metrics
    content = json.loads(file.read_text())
    assert content["averaged"]
    older = {name: value for name, value in content.items() if name not in ("schema", "averaged")}
    file.write_text(json.dumps(older))
    assert read_record(Metrics, file).scores == result.metrics.scores
    for other, sentence in (
        (content | {"schema": 2}, "Metrics.schema is 2 and must be 1"),
        (older | {"step": "7"}, "Metrics.step is '7' and must be int"),
        (older | {"scores": content["scores"] | {"baselines": {}}}, "Metrics.scores.baselines has no otsu"),
    ):
        file.write_text(json.dumps(other))
        with pytest.raises(UserError, match=f"wrote it .{sentence}.: evaluate {tmp_path.name} again"):
            read_record(Metrics, file)
