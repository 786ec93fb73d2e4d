"""Broken headers and byte streams through the reading of prediction, and a sample through the whole command.

Run:  python benchmarks/fuzz.py [COUNT [RUN]]

COUNT files (10,000) are made by chance, always the same ones, from small sound files of each kind: bytes of the header
set to extremes, bits flipped, parts cut out, doubled or appended; for gzip of what is packed or of the packed bytes.
Each must be read, or refused with a sentence that names it; anything else, a warning or more than 5 s is a fault and
ends with status 1. With a RUN, every 49th goes through `python -m oasis_jax.predict` in one folder: it must end with
status 0, 1 or 2, say no traceback, and write nothing but files of its output folder.
"""

import gzip
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image

from oasis_jax.data.volumes.finding import InputFile, find_inputs
from oasis_jax.data.volumes.inputs import read_input
from oasis_jax.data.volumes.placing import Framing
from oasis_jax.system.errors import UserError

PATIENCE = 5.0
"""Seconds for one file of a few thousand voxels."""

FRAMING = Framing((48, 64), (48, 64), "axial")

EXTREMES = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\x01")


def sound(folder: Path) -> dict[str, list[Path]]:
    """The files of one sound input of each kind; the first is the one that is mutated."""
    rng = np.random.default_rng(0)
    values = np.zeros((30, 34, 8), np.int16)
    values[4:26, 4:30, 1:7] = rng.integers(200, 900, (22, 26, 6))
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    names = {"NIfTI-1": ["a.nii"], "NIfTI-2": ["b.nii"], "Analyze": ["c.hdr", "c.img"], "MGH": ["d.mgh"]}
    kinds = nib.Nifti1Image, nib.Nifti2Image, nib.AnalyzeImage, nib.MGHImage
    for (first, *_), kind in zip(names.values(), kinds, strict=True):
        nib.save(kind(values, affine), folder / first)
    (folder / "e.nii.gz").write_bytes(gzip.compress((folder / "a.nii").read_bytes()))
    Image.fromarray((values[..., 3] // 4).astype(np.uint8)).save(folder / "f.png")
    found = names | {"gzip": ["e.nii.gz"], "PNG": ["f.png"]}
    return {kind: [folder / name for name in files] for kind, files in found.items()}


def mutated(rng: np.random.Generator, content: bytes, header: int) -> bytes:
    """A sound file's bytes with one to four faults."""
    out = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(0, max(1, min(len(out), header) if rng.random() < 0.8 else len(out))))
        width = int(rng.choice([1, 2, 4, 8]))
        match int(rng.integers(0, 7)):
            case 0:
                out[at : at + width] = EXTREMES[rng.integers(len(EXTREMES))] * width
            case 1:
                out[at : at + width] = rng.bytes(width)
            case 2 if at < len(out):
                out[at] ^= 1 << int(rng.integers(8))
            case 3:
                del out[at:]
            case 4:
                del out[at : at + int(rng.integers(1, 64))]
            case 5:
                out[at:at] = out[at : at + int(rng.integers(1, 512))]
            case _:
                out += rng.bytes(int(rng.integers(1, 4096)))
    return bytes(out)


def broken(folder: Path, count: int) -> Iterator[tuple[str, Path]]:
    """So many mutations, written over each other, as (kind, path)."""
    (folder / "sound").mkdir()
    kinds = sound(folder / "sound")
    for i in range(count):
        rng = np.random.default_rng(i)
        kind = list(kinds)[i % len(kinds)]
        first, *others = kinds[kind]
        content = first.read_bytes()
        if kind == "gzip" and rng.random() < 0.7:
            content = gzip.compress(mutated(rng, gzip.decompress(content), 352), 1)
        else:
            content = mutated(rng, content, 352 if kind != "PNG" else 64)
        path = folder / f"{i}{''.join(first.suffixes)}"
        path.write_bytes(content)
        for other in others:
            path.with_suffix(other.suffix).write_bytes(other.read_bytes())
        yield kind, path


def outcome(path: Path) -> str:
    """What reading does with a file: read, read with a note, refused, or the fault."""
    start = time.monotonic()
    try:
        item = read_input(InputFile(path, path.stem), FRAMING, "RAS")
        told = "read, with a note" if item.notes else "read"
    except UserError as error:
        told = "refused" if str(path.with_suffix("")) in str(error) else f"unnamed: {error}"
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
    return told if time.monotonic() - start < PATIENCE else f"slow: {told}"


def command_faults(run: Path, folder: Path) -> list[str]:
    """What is wrong with the whole command over a folder."""
    before = sorted(path for path in folder.parent.rglob("*") if folder.parent / "out" not in path.parents)
    line = [sys.executable, "-m", "oasis_jax.predict", run, folder, "--output", folder.parent / "out"]
    done = subprocess.run([*map(str, line), "--orientation", "RAS"], capture_output=True, text=True, errors="replace")
    after = [path for path in folder.parent.rglob("*") if folder.parent / "out" not in path.parents]
    faults = [f"status {done.returncode}"] if done.returncode not in (0, 1, 2) else []
    faults += ["a traceback"] if "Traceback" in done.stderr else []
    faults += [f"wrote {path}" for path in after if path not in before and path != folder.parent / "out"]
    print(f"the command over {len(find_inputs([folder])[0])} files: status {done.returncode}", *faults, sep="; ")
    return faults


def main() -> None:
    warnings.simplefilter("error")
    count = int(sys.argv[1]) if sys.argv[1:] else 10_000
    outcomes: Counter[tuple[str, str]] = Counter()
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        kept = Path(name) / "kept" / "in"
        kept.mkdir(parents=True)
        for i, (kind, path) in enumerate(broken(Path(name), count)):
            told = outcome(path)
            known = told in ("read", "read, with a note", "refused")
            outcomes[kind, told if known else "fault"] += 1
            faults += [] if known else [f"{kind} {i}: {told}"]
            for one in (path, path.with_suffix(".img")):
                if one.exists() and i % 49 == 0 and sys.argv[2:]:
                    one.rename(kept / one.name)
                one.unlink(missing_ok=True)
        columns = ("read", "read, with a note", "refused", "fault")
        print("| kind | files |", " | ".join(columns), "|")
        print("|---|---|", "---|" * len(columns), sep="")
        for kind in dict.fromkeys(kind for kind, _ in outcomes):
            cells = [outcomes[kind, column] for column in columns]
            print("|", " | ".join(map(str, (kind, sum(cells), *cells))), "|")
        if sys.argv[2:]:
            faults += command_faults(Path(sys.argv[2]), kept)
    print(*faults[:20], sep="\n")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
