"""Best and latest are kept, and damage is noticed."""

import gc
import io
import os
import re
import resource
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checked import present
from orbax.checkpoint import v1 as ocp

from oasis_jax.runs import arrays
from oasis_jax.runs.checkpoints import CheckpointInfo, Checkpoints
from oasis_jax.runs.state import TrainState
from oasis_jax.system import distributed
from oasis_jax.system.errors import UserError


def state(step: int) -> TrainState:
    params = {"conv": {"kernel": jax.random.normal(jax.random.key(step), (3, 3, 40, 20)), "bias": jnp.zeros(20)}}
    return TrainState(jnp.asarray(step, jnp.int32), params, {"mu": jax.tree.map(lambda x: x + 1, params)})


LIKE = jax.eval_shape(lambda: state(0))


def write(folder: Path, losses: list[float | None]) -> None:
    checkpoints = Checkpoints(folder)
    for i, loss in enumerate(losses):
        checkpoints.save(state(i + 1), loss)


def restore(folder: Path) -> tuple[TrainState | None, CheckpointInfo | None, list[str]]:
    """The latest state, what is known of its checkpoint, and what was said."""
    checkpoints = Checkpoints(folder)
    with redirect_stderr(io.StringIO()) as said:
        return checkpoints.restore_latest(LIKE), checkpoints.latest, said.getvalue().splitlines()


def steps(folder: Path) -> list[int]:
    return [info.step for info in Checkpoints(folder).sound]


def same(a: Any, b: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, a, b)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size > 0)


def cut_short(folder: Path) -> None:
    for path in files(folder):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_the_best_and_the_two_latest_are_kept(tmp_path: Path) -> None:
    assert restore(tmp_path) == (None, None, [])
    write(tmp_path, [0.5, 0.2, 0.4, None, 0.2])
    checkpoints = Checkpoints(tmp_path)
    assert [(info.step, info.loss) for info in checkpoints.sound] == [(2, 0.2), (4, None), (5, 0.2)]
    assert checkpoints.damaged == []
    assert (checkpoints.find(3), checkpoints.find(4)) == (None, checkpoints.sound[1])
    best = present(checkpoints.best)
    assert best.step == 2  # the earlier of two equally good
    same(checkpoints.restore(best, {"params": LIKE.params})["params"], state(2).params)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Orbax drops a coroutine
def test_no_damage_to_the_latest_goes_unnoticed_or_loses_the_one_before(tmp_path: Path) -> None:
    """Flip a byte and cut short each file: what is restored is exactly step 2, or step 1 with a word about it."""
    write(tmp_path / "sound", [0.5, 0.4])
    rng, went_on = np.random.default_rng(0), set[int]()
    for number, path in enumerate(files(tmp_path / "sound" / "2")):
        content = path.read_bytes()
        flipped = bytearray(content)
        flipped[int(rng.integers(len(content)))] ^= 0x41
        for kind, damage in (("flipped", bytes(flipped)), ("cut", content[: len(content) // 2])):
            copy = tmp_path / f"{number}-{kind}"
            shutil.copytree(tmp_path / "sound", copy)
            (copy / path.relative_to(tmp_path / "sound")).write_bytes(damage)
            restored, info, sentences = restore(copy)
            name, step = f"{path.relative_to(tmp_path / 'sound')} {kind}", present(info).step
            same(restored, state(step))
            assert present(info).loss == {1: 0.5, 2: 0.4}[step], name
            if step == 1:
                assert sentences == ["The checkpoint of step 2 is damaged; it is now called damaged-2."], name
                assert (copy / "damaged-2").is_dir()
            if step not in went_on:  # training can go on
                Checkpoints(copy).save(state(3), 0.3)
                assert steps(copy)[-1] == 3, name
                went_on.add(step)
    assert went_on == {1, 2}
    gc.collect()  # what Orbax drops is complained about here, where it is expected


def test_damaged_steps_are_set_aside_under_free_names_and_the_last_one_stays_where_it_is(tmp_path: Path) -> None:
    write(tmp_path, [0.5])
    for name in ("damaged-2", "damaged-2-1"):
        Checkpoints(tmp_path).save(state(2), 0.4)
        cut_short(tmp_path / "2/rest")
        assert restore(tmp_path)[2] == [f"The checkpoint of step 2 is damaged; it is now called {name}."]
    cut_short(tmp_path / "1")
    for _ in range(2):  # the second time too: nothing starts over by itself
        with pytest.raises(UserError, match="can be read any more"):
            restore(tmp_path)
    assert (tmp_path / "1").is_dir()


def test_a_checkpoint_of_other_arrays_is_not_called_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = {"a": np.ones((2, 3), np.float32)}, {"b": np.ones(1, np.float32)}
    made = TrainState(jnp.int32(3), a, {"m": np.zeros(2, np.float32)})
    Checkpoints(tmp_path).save(made, 1.0)
    for params, says in (
        ({"a": np.ones((2, 3), np.float16)}, "params['a'] is float32 (2, 3), not float16 (2, 3)"),
        (a | b, "params['b'] is absent, not float32 (1,)"),
    ):
        with pytest.raises(UserError, match=rf"holds other arrays .* \({re.escape(says)}\)"):
            Checkpoints(tmp_path).restore_latest(made._replace(params=params))
    assert (capsys.readouterr().err, steps(tmp_path)) == ("", [3])


def write_another(path: Path) -> None:
    shutil.copytree(path.with_name("2"), path, dirs_exist_ok=True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Orbax drops a coroutine
@pytest.mark.parametrize("damage", [lambda path: cut_short(path / "params"), write_another, shutil.rmtree])
def test_a_save_that_does_not_read_back_is_said_and_costs_no_older_checkpoint(
    damage: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, [0.5, 0.2, 0.4])
    sound = ocp.save_checkpointables

    def broken(path: str, parts: dict[str, Any]) -> None:
        sound(path, parts)
        damage(Path(path))

    monkeypatch.setattr(ocp, "save_checkpointables", broken)
    monkeypatch.setattr(distributed, "SHARED_SECONDS", 1)
    with pytest.raises(UserError, match=r"step 4 was written .* cannot be read back; it is now called damaged-4"):
        Checkpoints(tmp_path).save(state(4), 0.1)
    assert steps(tmp_path) == [2, 3]
    monkeypatch.undo()
    restored, info, sentences = restore(tmp_path)
    assert (present(info).step, sentences) == (3, [])
    same(restored, state(3))
    Checkpoints(tmp_path).save(state(4), 0.1)
    assert steps(tmp_path) == [3, 4]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # and threads that it does not await
def test_a_full_disk_is_said_and_costs_no_older_checkpoint(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    write(tmp_path, [0.5])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        with pytest.raises(UserError, match=r"Cannot write the checkpoint of step 2 to .*: File too large"):
            Checkpoints(tmp_path).save(state(2), 0.1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    gc.collect()
    assert steps(tmp_path) == [1]
    Checkpoints(tmp_path).save(state(2), 0.1)
    assert steps(tmp_path) == [1, 2]


def test_what_a_killed_process_left_half_done_is_removed_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, [0.5, 0.4, 0.3])
    shutil.copytree(tmp_path / "2", tmp_path / "1")  # as of one killed before it removed that
    for name in ("4.orbax-checkpoint-tmp", "0.pruned", "damaged-1", "notes.pruned"):
        (tmp_path / name / "params").mkdir(parents=True)
    assert present(restore(tmp_path)[1]).step == 3
    Checkpoints(tmp_path).tidy()
    assert {path.name for path in tmp_path.iterdir()} == {"2", "3", "damaged-1", "notes.pruned"}


@pytest.mark.parametrize("name", ["a [copy]", "x*y", "why?", "back\\slash", "gs:", os.fsdecode(b"caf\xe9")])
def test_a_path_under_which_orbax_loses_what_it_wrote_is_refused_and_no_run_there_called_damaged(
    name: str, tmp_path: Path
) -> None:
    for folder in (tmp_path / name, tmp_path / name / "runs" / "one"):
        with pytest.raises(UserError, match=r"^Checkpoints cannot be kept in .* because its absolute path holds"):
            arrays.check_folder(folder)
    write(tmp_path / "sound", [0.5])
    shutil.copytree(tmp_path / "sound", tmp_path / name)
    try:
        same(restore(tmp_path / name)[0], state(1))
    except UserError as error:
        assert "cannot be read in" in str(error)  # noqa: PT017
    assert (tmp_path / name / "1").is_dir()


@pytest.mark.parametrize("name", ["with é and 脳", "a{b}c 100% a#b:~]|;'\"", "two\nlines", " "])
def test_every_other_path_keeps_checkpoints(name: str, tmp_path: Path) -> None:
    arrays.check_folder(tmp_path / name)
    write(tmp_path / name, [0.5])
    same(restore(tmp_path / name)[0], state(1))
