"""All measurements that want an accelerator, unattended, one after the other, into a folder.

Run:  python benchmarks/accelerator.py FOLDER [--data-root DIR]     on a machine with one NVIDIA GPU
      python benchmarks/accelerator.py FOLDER --smoke               anywhere, minutes: shows that every part works

Needs the package with its accelerator's JAX, the peers, and a C compiler: pip install -e ".[cuda13,peers]". Parts:
steps of training and evaluation beside compiled PyTorch, in TF32 and bfloat16, at batch 8, 32 and 128; their floor and
a profile; the input pipeline; two epochs of 9,664 slices (goal: less than 2 % of the time waiting for input); start-up,
cold and warm; growth; the network's convolutions; and a whole training in bfloat16 beside float32 (goal: Dice within
0.002). A part that fails, or takes longer than an hour, does not stop the others. With several GPUs all use the first.
FOLDER gets `results.md`, which grows part by part, and the whole output of each; profiles are in FOLDER/trace.

It was run with --smoke on a CPU. It has not been run on a GPU yet.
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
LONGEST = 3600
"""Seconds for one part."""
ORIGINAL, OASIS = "experiments/original.py", "experiments/oasis.py"


@dataclass(frozen=True)
class Arguments:
    """Where results go, and of what data."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder for the results; made where absent."""
    data_root: Path | None = None
    """A tree of slices for the whole trainings. None: phantoms."""
    smoke: bool = False
    """Tiny sizes, to see that every part works."""


def parts(arguments: Arguments) -> dict[str, list[str]]:
    """The command line of each part, after `python benchmarks/`; it runs in the root of the repository."""
    data = ["--data.root", str(arguments.data_root.absolute())] if arguments.data_root else []
    folder = arguments.folder.absolute()
    trace, kept = ["--trace", str(folder / "trace")], str(folder / "precision")
    if arguments.smoke:
        tiny = ["--model.stem", "2", "--model.crop", "None", "--train.epochs", "1"]
        few, whole = ["--batch", "2", "--turns", "2", "--size", "64", "64"], [*tiny, "--train.batch", "64"]
        sizes = ["--batch", "1", "2", "--size", "32", "64", "--slices", "50", "100"]
        return {
            "step": ["step.py", ORIGINAL, *few, "--steps", "2", "--against", "torch-compiled", *tiny],
            "floor": ["floor.py", OASIS, *few, *trace, "--side", "256", "--copy-mib", "8", *tiny],
            "input": ["input.py", OASIS, "--turns", "2", "--batches", "5", "--threads", "2", *data],
            "epoch": ["epoch.py", OASIS, "--slices", "400", *data, *whole],
            "startup": ["startup.py", OASIS, *data, *tiny],
            "growth": ["growth.py", OASIS, "--turns", "2", *sizes, *tiny],
            "precision": ["precision.py", kept, OASIS, *data, *whole],
        }
    every = ["--batch", "8", "32", "128", "--dtype", "float32", "bfloat16"]
    steps = ["--turns", "7", "--steps", "30", "--against", "torch-compiled"]
    return {
        "step, original": ["step.py", ORIGINAL, *every, *steps],
        "step, oasis": ["step.py", OASIS, *every, *steps],
        "floor, original": ["floor.py", ORIGINAL, *every],
        "floor, oasis": ["floor.py", OASIS, *every, *trace],
        "input": ["input.py", OASIS, "--threads", "1", "2", "4", "8", *data],
        **{
            f"epoch, {dtype}, batch {batch}": [
                *("epoch.py", OASIS, "--slices", "9664", *data),
                *("--train.epochs", "2", "--train.batch", batch, "--model.dtype", dtype),
            ]
            for dtype in ("float32", "bfloat16")
            for batch in ("8", "32")
        },
        "startup": ["startup.py", OASIS, *data],
        "growth": ["growth.py", OASIS],
        "convolution": ["convolution.py", "--turns", "10"],
        "precision": ["precision.py", kept, OASIS, *data],
    }


def run(name: str, words: list[str], folder: Path) -> str:
    """Run a part; its section of the results."""
    start = time.monotonic()
    command = [sys.executable, f"benchmarks/{words[0]}", *words[1:]]
    # Peers use one GPU; ours would share a batch among all.
    first = os.environ | {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0")}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=REPOSITORY, env=first, timeout=LONGEST
        )
    except subprocess.TimeoutExpired as error:
        done = subprocess.CompletedProcess(command, 124, _text(error.stdout), _text(error.stderr))
    took = f"{time.monotonic() - start:.0f} s"
    (folder / f"{name.replace(', ', '-').replace(' ', '')}.log").write_text(f"{done.stdout}\n{done.stderr}")
    title = f"{name}: FAILED after {took}, status {done.returncode}" if done.returncode else f"{name} ({took})"
    section = f"## {title}\n\n`python benchmarks/{' '.join(words)}`\n\n{done.stdout}"
    last = "\n".join(done.stderr.splitlines()[-8:])
    return f"{section}\n```\n{last}\n```\n" if done.returncode else section


def _text(output: bytes | str | None) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""


def main() -> None:
    arguments = tyro.cli(Arguments, description=__doc__)
    if not arguments.smoke and not figures.accelerators():
        sys.exit("There is no NVIDIA GPU here (nvidia-smi names none); --smoke shows anywhere that every part works.")
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
