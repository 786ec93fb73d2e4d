"""The files of an evaluation are read as they were written, or refused with a sentence that names the mend."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import blob, evaluated, finished_result

from oasis_jax.data.slices import Slice
from oasis_jax.evaluation import record
from oasis_jax.evaluation.record import Metrics, SubjectCounts
from oasis_jax.inference.ensemble import Averaged, Member
from oasis_jax.system import records
from oasis_jax.system.errors import UserError


@pytest.fixture(scope="module")
def written() -> tuple[Metrics, SubjectCounts]:
    rng = np.random.default_rng(0)
    slices = [blob(rng) for _ in range(9)]
    pairs = [Slice(str(i), 0, Path(), Path()) for i in range(9)]
    subjects = {str(i): f"s{i % 8}" for i in range(9)}
    evaluation = evaluated(pairs, subjects, slices, [np.roll(truth, 1, axis=1) for _, truth in slices])
    averaged = Averaged((Member("r", 7), Member("q", 9)), mirror=True)
    result = finished_result(evaluation, averaged=averaged, spacing_mm=(1.0, 1.0, None))
    return result.metrics, result.counts


def test_the_files_come_back_as_they_were(written: tuple[Metrics, SubjectCounts], tmp_path: Path) -> None:
    metrics, counts = written
    (tmp_path / "metrics.json").write_text(record.text(metrics))
    (tmp_path / "subjects.json").write_text(record.text(counts))
    assert record.read(Metrics, tmp_path / "metrics.json") == metrics
    read_counts = record.read(SubjectCounts, tmp_path / "subjects.json")
    assert records.to_json(read_counts) == records.to_json(counts)
    assert list(json.loads(record.text(metrics)))[:3] == ["schema", "run", "data"]


def test_a_file_without_a_schema_is_read_if_it_holds_all_required_fields(
    written: tuple[Metrics, SubjectCounts], tmp_path: Path
) -> None:
    file, content = tmp_path / "metrics.json", records.to_json(written[0])
    older = {name: value for name, value in content.items() if name not in ("schema", "averaged")}
    file.write_text(json.dumps(older))
    assert record.read(Metrics, file).scores == written[0].scores
    file.write_text(json.dumps(older | {"scores": {"slices": 16}}))
    with pytest.raises(UserError, match=f"of another version .*no subjects.*: evaluate {tmp_path.name} again"):
        record.read(Metrics, file)
    file.write_text(json.dumps(content | {"schema": record.SCHEMA + 1}))
    with pytest.raises(UserError, match=f"of another version of the program .its schema is {record.SCHEMA + 1}, not"):
        record.read(Metrics, file)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ({"scores": 3}, "Metrics.scores is 3"),
        ({"step": "7"}, "Metrics.step is '7'"),
        ({"averaged": {"runs": []}}, "has no mirror"),
    ],
)
def test_damage_is_named(
    written: tuple[Metrics, SubjectCounts], tmp_path: Path, damage: dict[str, Any], sentence: str
) -> None:
    file = tmp_path / "metrics.json"
    file.write_text(json.dumps(records.to_json(written[0]) | damage))
    with pytest.raises(UserError, match=f"metrics.json is damaged .*{sentence}"):
        record.read(Metrics, file)


def test_a_missing_baseline_or_class_is_damage(written: tuple[Metrics, SubjectCounts], tmp_path: Path) -> None:
    content = records.to_json(written[0])
    del content["scores"]["baselines"]["otsu"]
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="baselines has no otsu"):
        record.read(Metrics, tmp_path / "metrics.json")
    content = records.to_json(written[0])
    del content["scores"]["intervals"]["recall_pooled"]["low"]["gray matter"]
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"recall_pooled\.low has no gray matter"):
        record.read(Metrics, tmp_path / "metrics.json")
