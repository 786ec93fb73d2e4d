"""The files of an evaluation are read as they were written, or refused with a sentence that names the mend."""

import json
from pathlib import Path

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


def test_an_older_file_is_read_if_it_holds_all_required_fields_and_others_are_refused(
    written: Result, tmp_path: Path
) -> None:
    file, content = tmp_path / "metrics.json", records.to_json(written.metrics)
    older = {name: value for name, value in content.items() if name not in ("schema", "averaged")}
    file.write_text(json.dumps(older))
    assert read_record(Metrics, file).scores == written.metrics.scores
    for other, sentence in (
        (content | {"schema": 2}, "Metrics.schema is 2 and must be 1"),
        (older | {"step": "7"}, "Metrics.step is '7' and must be int"),
        (older | {"scores": content["scores"] | {"baselines": {}}}, "Metrics.scores.baselines has no otsu"),
    ):
        file.write_text(json.dumps(other))
        with pytest.raises(UserError, match=f"wrote it .{sentence}.: evaluate {tmp_path.name} again"):
            read_record(Metrics, file)
