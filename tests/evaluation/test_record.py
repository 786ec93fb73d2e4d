"""The files of an evaluation are read as they were written, or refused with a sentence that names the mend."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import blob, evaluated, finished_result

from oasis_jax.data.slices import Slice
from oasis_jax.evaluation import record
from oasis_jax.evaluation.record import Metrics, SubjectCounts, read_record
from oasis_jax.evaluation.result import Result
from oasis_jax.system import records
from oasis_jax.system.errors import UserError


@pytest.fixture(scope="module")
def written() -> Result:
    rng = np.random.default_rng(0)
    slices = [blob(rng) for _ in range(9)]
    pairs = [Slice(str(i), 0, Path(), Path()) for i in range(9)]
    subjects = {str(i): f"s{i % 8}" for i in range(9)}
    evaluation = evaluated(pairs, subjects, slices, [np.roll(truth, 1, axis=1) for _, truth in slices])
    return finished_result(evaluation, ("r", "q"))


def test_the_files_come_back_as_they_were(written: Result, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(record.text(written.metrics))
    (tmp_path / "subjects.json").write_text(record.text(written.counts))
    assert read_record(Metrics, tmp_path / "metrics.json") == written.metrics
    assert written.metrics.averaged is not None
    again = read_record(SubjectCounts, tmp_path / "subjects.json")
    assert records.to_json(again) == records.to_json(written.counts)


def test_a_file_without_a_schema_is_read_if_it_holds_all_required_fields(written: Result, tmp_path: Path) -> None:
    file, content = tmp_path / "metrics.json", records.to_json(written.metrics)
    older = {name: value for name, value in content.items() if name not in ("schema", "averaged")}
    file.write_text(json.dumps(older))
    assert read_record(Metrics, file).scores == written.metrics.scores
    for other, sentence in (
        (older | {"scores": {"slices": 16}}, f"of another version .*no subjects.*: evaluate {tmp_path.name} again"),
        (content | {"schema": record.SCHEMA + 1}, f"of another version .* .its schema is {record.SCHEMA + 1}, not"),
    ):
        file.write_text(json.dumps(other))
        with pytest.raises(UserError, match=sentence):
            read_record(Metrics, file)


@pytest.mark.parametrize(
    ("place", "damage", "sentence"),
    [
        ((), {"scores": 3}, "Metrics.scores is 3"),
        ((), {"step": "7"}, "Metrics.step is '7'"),
        ((), {"averaged": {"runs": []}}, "has no mirror"),
        (("scores",), {"baselines": {}}, "baselines has no otsu"),
        (("scores", "intervals"), {"recall_pooled": {"low": {}}}, r"recall_pooled has no high"),
    ],
)
def test_damage_is_named(
    written: Result, tmp_path: Path, place: tuple[str, ...], damage: dict[str, Any], sentence: str
) -> None:
    content = part = records.to_json(written.metrics)
    for name in place:
        part = part[name]
    part.update(damage)
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"metrics.json is damaged .*{sentence}"):
        read_record(Metrics, tmp_path / "metrics.json")
