"""All measurements that need an accelerator, one after the other, with the results in a folder.

Run:  python benchmarks/accelerator.py FOLDER [--data-root DIR]     on a machine with one NVIDIA GPU
      python benchmarks/accelerator.py FOLDER --smoke               on any machine, minutes: checks that all parts work

Needs the package with the JAX of the accelerator, the peers, and a C compiler: pip install -e ".[cuda13,peers]". Parts:

- steps of training and evaluation beside compiled PyTorch, in TF32 and bfloat16, at batch 8, 32 and 128
- two epochs of 9,664 slices (goal: less than 2 % of the time is waiting for input)
- a whole training in float32, one in bfloat16, and the comparison of their scores (goal: Dice within 0.002)

A part that fails does not stop the others. With several GPUs, all parts use the first.
FOLDER gets `results.md`, which grows part by part, and the whole output of each part.

It was run with --smoke on a CPU. It was not run on a GPU yet.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import figures
import tyro

REPOSITORY = Path(__file__).parent.parent
ORIGINAL, OASIS = "experiments/original.py", "experiments/oasis.py"


@dataclass(frozen=True)
class Arguments:
    """Where the results go, and which data are used."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder for the results; it is made if it does not exist."""
    data_root: Path | None = None
    """A tree of slices for the whole trainings. None: phantoms."""
    smoke: bool = False
    """Use tiny sizes, to check that all parts work."""


def parts(arguments: Arguments) -> dict[str, list[str]]:
    """The words after `python` of each part. It runs in the root of the repository."""
    # Phantoms do not fit into the window of the flagship.
    root = arguments.data_root
    data = ["--data.root", str(root.absolute())] if root else ["--model.crop", "176", "208"]
    step, epoch = ["benchmarks/step.py"], ["benchmarks/epoch.py", OASIS, *data, "--slices"]
    runs = {dtype: str(arguments.folder.absolute() / dtype) for dtype in ("float32", "bfloat16")}
    tiny = ["--model.stem", "2", "--model.crop", "None", "--train.epochs", "1"]
    whole = [*tiny, "--train.batch", "64"] if arguments.smoke else []
    trainings = {
        f"training, {dtype}": ["-m", "oasis_jax.train", OASIS, *data, *whole, "--run", run, "--model.dtype", dtype]
        for dtype, run in runs.items()
    }
    trainings["comparison"] = ["-m", "oasis_jax.compare", runs["bfloat16"], runs["float32"]]
    if arguments.smoke:
        few = ["--batch", "2", "--turns", "2", "--steps", "2", "--size", "64", "64", "--against", "torch-compiled"]
        return {"step": [*step, ORIGINAL, *few, *tiny], "epoch": [*epoch, "400", *whole], **trainings}
    many = ["--batch", "8", "32", "128", "--dtype", "float32", "bfloat16", "--turns", "7", "--steps", "30"]
    return {
        "step, original": [*step, ORIGINAL, *many, "--against", "torch-compiled"],
        "step, oasis": [*step, OASIS, *many, "--against", "torch-compiled"],
        **{
            f"epoch, {dtype}, batch {batch}": [
                *(*epoch, "9664", "--train.epochs", "2", "--train.batch", batch, "--model.dtype", dtype)
            ]
            for dtype in runs
            for batch in ("8", "32")
        },
        **trainings,
    }


def run(name: str, words: list[str], folder: Path) -> str:
    """Run a part and return its section of the results."""
    start = time.monotonic()
    command = [sys.executable, *words]
    # The peers use one GPU; the package would split a batch over all of them.
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0")}
    process = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY, env=environment)
    duration, status = f"{time.monotonic() - start:.0f} s", process.returncode
    (folder / f"{name.replace(', ', '-').replace(' ', '')}.log").write_text(f"{process.stdout}\n{process.stderr}")
    title = f"{name}: FAILED after {duration}, status {status}" if status else f"{name} ({duration})"
    section = f"## {title}\n\n`python {' '.join(words)}`\n\n{process.stdout}"
    last_lines = "\n".join(process.stderr.splitlines()[-8:])
    return f"{section}\n```\n{last_lines}\n```\n" if status else section


def main() -> None:
    arguments = tyro.cli(Arguments, description=__doc__)
    if not arguments.smoke and not figures.accelerators():
        sys.exit("There is no NVIDIA GPU (nvidia-smi names none): use --smoke, which checks all parts on any machine.")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    sections = [f"# {figures.machine()}\n"]
    for name, words in parts(arguments).items():
        print(f"{name} ...", flush=True)
        sections.append(run(name, words, arguments.folder))
        (arguments.folder / "results.md").write_text("\n".join(sections))
    failed = sum("FAILED" in section.splitlines()[0] for section in sections)
    print(f"{arguments.folder / 'results.md'}: {len(sections) - 1 - failed} parts done, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
