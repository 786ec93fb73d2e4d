"""The tools that label the tissues of T1 images of the brain, beside ours: the same scans, masks and machine, one run.

Run:  python benchmarks/tools.py ENVIRONMENTS SCANS --output FOLDER [--colin ch2.nii.gz colin27_v3.mat]

SCANS holds SUBJECT/CASE/{SS,tissues,classified}.nii.gz: a T1 image without skull, the labels of FSL FAST and those of
experts (0 background, 1 CSF, 2 gray matter, 3 white matter). `--colin` adds Colin27, one head with its skull: the image
of Debian's package mricron-data, and the map of the repository fangq/mcx (mcxlab/examples), on the same grid.

ENVIRONMENTS holds a virtual environment for each tool. Tools that are not there are left out, and named at the end.

    python -m venv E/multiaxial && E/multiaxial/bin/pip install onnxruntime==1.32.0 nibabel==5.4.2 scipy==1.17.1
    python -m venv E/atropos && E/atropos/bin/pip install antspyx==0.6.3
    python -m venv E/dipy && E/dipy/bin/pip install dipy==1.12.1
    python -m venv E/deepbet && E/deepbet/bin/pip install torch==2.13.0 && E/deepbet/bin/pip install deepbet==1.0.2

MultiAxial also needs its weights (`--weights`): the folder multiaxial of the repository neuroneural/brainchop-models at
3d81b598. deepbet makes a brain mask of Colin27, for the tools that need one; all other masks are the true ones.

Each tool labels each scan in a process of its own. Let nothing else run on the machine. FOLDER keeps the labels, and
the seconds and memory that they took, so a table that was stopped goes on.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import figures
import nibabel as nib
import numpy as np
import tyro
from tool_scans import Scan, colin27, find_scans, voxels
from tool_tables import (
    COLIN_HEAD,
    FIFTHS,
    FIFTHS_HEAD,
    PAIRED_HEAD,
    SCANS_HEAD,
    Labelled,
    colin_row,
    count,
    each_row,
    fifth_row,
    paired_row,
    scans_row,
)

from oasis_jax.metrics import overlap
from oasis_jax.system.console import say
from oasis_jax.system.errors import UserError, run_command

SCRIPTS = Path(__file__).parent / "tools"
LABELS = "{folder}/labels.nii.gz"


class Tool(NamedTuple):
    """A tool, and how it labels a scan."""

    name: str
    environment: str
    """The name of its virtual environment; empty for the Python that runs this."""
    packages: tuple[str, ...]
    """The packages whose versions the table names."""
    command: tuple[str, ...]
    """Arguments of its Python. It writes one file, *labels.nii.gz, into {folder}."""
    note: str = ""
    """What a reader of its row must know."""

    @property
    def needs_mask(self) -> bool:
        return "{mask}" in self.command

    def python(self, environments: Path) -> Path:
        """It does not exist if the tool is not installed."""
        return environments / self.environment / "bin/python" if self.environment else Path(sys.executable)


OURS = Tool("ours", "", ("oasis_jax", "jax"), ("-m", "oasis_jax.predict", "{model}", "{image}", "--output", "{folder}"))
OTHERS = (
    Tool(
        "MultiAxial",
        "multiaxial",
        ("onnxruntime",),
        (f"{SCRIPTS}/multiaxial.py", "{image}", "{weights}", LABELS),
        ": made for whole heads, which the scans are not",
    ),
    Tool("N4 + Atropos", "atropos", ("antspyx",), (f"{SCRIPTS}/atropos.py", "{image}", "{mask}", LABELS)),
    Tool("DIPY HMRF", "dipy", ("dipy",), (f"{SCRIPTS}/hmrf.py", "{image}", "{mask}", LABELS)),
    Tool("Otsu", "", ("numpy",), (f"{SCRIPTS}/otsu.py", "{image}", "{mask}", LABELS)),
)
MASKER = Tool("deepbet", "deepbet", ("deepbet", "torch"), (f"{SCRIPTS}/brain_mask.py", "{image}", LABELS))
BRAINCHOP = "brainchop 0.2.5: not run, it takes hours without a GPU"


@dataclass(frozen=True)
class Arguments:
    """Label scans with each tool, and print tables of how well, how fast and in how much memory."""

    environments: tyro.conf.Positional[Path]
    """Folder of the virtual environments of the tools."""
    scans: tyro.conf.Positional[Path]
    """Folder of SUBJECT/CASE/{SS,tissues,classified}.nii.gz."""
    output: Path
    """Folder of the labels and of what they took."""
    colin: tuple[Path, Path] | None = None
    """Colin27: its T1 image and its map."""
    weights: Path = Path("multiaxial")
    """Folder of the four networks of MultiAxial."""
    model: str = "pretrained"
    """Our model, as oasis_jax.predict takes it."""


def label(tool: Tool, scan: Scan, arguments: Arguments) -> tuple[Path, dict[str, float]]:
    """Label a scan, unless an earlier table did.

    Returns:
        The file of labels, and what it took: `seconds` and `peak_bytes`.

    Raises:
        UserError: the tool failed.
    """
    name = Path(arguments.model).name if tool == OURS else tool.name
    folder = arguments.output / name / f"{scan.subject} {scan.case}"
    took = folder / "took.json"
    if not took.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        places = {"image": scan.image, "mask": scan.mask, "folder": folder}
        words = [word.format(**places, weights=arguments.weights, model=arguments.model) for word in tool.command]
        command = [sys.executable, SCRIPTS / "measure.py", took, tool.python(arguments.environments), *words]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        if not took.is_file():
            *_, reason = done.stderr.splitlines() or ["it gave no reason"]
            raise UserError(f"{tool.name} could not label {scan.image}: {reason}")
        say(f"{tool.name}, {scan.subject} {scan.case}: {took.read_text().strip()}")
    (labels,) = folder.glob("*labels.nii.gz")
    return labels, json.loads(took.read_text())


def compared(scan: Scan, labels: Path, took: dict[str, float]) -> Labelled:
    """Count how the labels of a scan agree with the true ones."""
    image: Any = nib.load(labels)  # type: ignore[attr-defined]
    millilitres, found = float(np.prod(image.header.get_zooms())) / 1000, voxels(labels)
    counts = {name: count(truth, found) for name, truth in scan.truths.items()}
    return Labelled(scan.subject, scan.case, millilitres, counts, took)


def title(tool: Tool, arguments: Arguments) -> str:
    """The name of a tool with its versions."""
    code = "import sys, importlib.metadata as m; print(', '.join(f'{name} {m.version(name)}' for name in sys.argv[1:]))"
    command = [tool.python(arguments.environments), "-c", code, *tool.packages]
    versions = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return f"{tool.name} ({f'{arguments.model}, ' if tool == OURS else ''}{versions})"


def scans_tables(tools: Sequence[Tool], arguments: Arguments) -> list[str]:
    """The table of the scans, our scores by height, those minus each other tool's, and the scores of each scan."""
    scans = find_scans(arguments.scans)
    runs = {tool: [compared(scan, *label(tool, scan, arguments)) for scan in scans] for tool in tools}
    fast = [compared(scan, scan.mask, {}) for scan in scans]
    needs = {tool: "brain mask" if tool.needs_mask else "-" for tool in tools}
    rows = [scans_row(title(tool, arguments) + tool.note, needs[tool], found) for tool, found in runs.items()]
    rows.append(scans_row("FSL FAST itself", "brain mask", fast))
    rows.append([BRAINCHOP, *["-"] * (len(SCANS_HEAD) - 1)])
    others = {tool.name: runs[tool] for tool in tools if tool != OURS} | {"FAST": fast}
    pairs = [
        paired_row(name, truth, runs[OURS], theirs)
        for truth in ("FAST", "experts")
        for name, theirs in others.items()
        if name != truth
    ]
    ours = [fifth_row(name, runs[OURS]) for name in FIFTHS]
    each = [each_row(same) for same in zip(*runs.values(), fast, strict=True)]
    return [
        figures.markdown(SCANS_HEAD, rows),
        figures.markdown(FIFTHS_HEAD, ours),
        figures.markdown(PAIRED_HEAD, pairs),
        figures.markdown(["GM, WM, experts", *(tool.name for tool in runs), "FAST"], each),
    ]


def colin_table(colin: tuple[Path, Path], tools: Sequence[Tool], arguments: Arguments) -> list[str]:
    """The table of Colin27, and a sentence on the mask of deepbet. Tools that need a mask get the true one and that."""
    scan, sentence = colin27(*colin, arguments.output), []
    runs = [(tool, scan, scan.case if tool.needs_mask else "-") for tool in tools]
    if MASKER.python(arguments.environments).is_file():
        mask, took = label(MASKER, scan, arguments)
        masked = scan._replace(case=MASKER.name, mask=mask)
        runs += [(tool, masked, masked.case) for tool in tools if tool.needs_mask]
        dice = overlap.hard_dice(count(voxels(scan.mask), voxels(mask)))[1]
        sentence = [
            f"The mask of {title(MASKER, arguments)} has Dice {dice:.3f} with the true one; it took "
            f"{took['seconds']:.0f} s and {figures.mebibytes(int(took['peak_bytes']))} MiB."
        ]
    rows = [
        colin_row(title(tool, arguments), mask, compared(one, *label(tool, one, arguments))) for tool, one, mask in runs
    ]
    return [figures.markdown(COLIN_HEAD, rows), *sentence]


def main() -> None:
    arguments = tyro.cli(Arguments, description=__doc__)
    arguments.output.mkdir(parents=True, exist_ok=True)
    absent = [tool for tool in (*OTHERS, MASKER) if not tool.python(arguments.environments).is_file()]
    tools = [tool for tool in (OURS, *OTHERS) if tool not in absent]
    parts = scans_tables(tools, arguments)
    parts += colin_table(arguments.colin, tools, arguments) if arguments.colin else []
    parts += [f"Not installed, so left out: {', '.join(tool.name for tool in absent)}."] if absent else []
    print(*parts, figures.machine(), sep="\n\n")


if __name__ == "__main__":
    run_command(main)
