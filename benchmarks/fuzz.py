"""Damaged files, read as prediction reads them, and a sample of them through the whole command.

Run:  python benchmarks/fuzz.py [COUNT [RUN]]

Makes COUNT (10,000) damaged files from small sound files of each kind: it sets bytes of the header to extremes, flips
bits, and removes, doubles or appends parts, at random but the same in each run. A gzip file is damaged before or after
it is compressed. Prediction must read each file, or refuse it with a sentence that names it. Any other exception, a
warning, and more than 5 s are faults; they end with status 1. With a RUN, every 49th file goes into a folder for
`python -m oasis_jax.predict`, which must end with status 0, 1 or 2, print no traceback, and write to its output folder
alone.
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

import figures
import nibabel as nib
import numpy as np
from PIL import Image

from oasis_jax.system.errors import UserError
from oasis_jax.volumes.cut import read_input
from oasis_jax.volumes.finding import InputFile, find_inputs
from oasis_jax.volumes.frame import Framing

PATIENCE = 5.0
"""Seconds allowed for a file of a few thousand voxels."""

FRAMING = Framing((48, 64), (48, 64), "axial")

EXTREMES = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\x01")


def sound(folder: Path) -> dict[str, list[Path]]:
    """The files of a sound input of each kind. The first file is the one to mutate."""
    rng = np.random.default_rng(0)
    values = np.zeros((30, 34, 8), np.int16)
    values[4:26, 4:30, 1:7] = rng.integers(200, 900, (22, 26, 6))
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    names = {"NIfTI-1": ["a.nii"], "NIfTI-2": ["b.nii"], "Analyze": ["c.hdr", "c.img"], "MGH": ["d.mgh"]}
    kinds = nib.Nifti1Image, nib.Nifti2Image, nib.AnalyzeImage, nib.MGHImage
    for (first, *_), kind in zip(names.values(), kinds, strict=True):
        image = kind(values, affine)  # pyright: ignore[reportArgumentType]  # nibabel's ArrayLike lacks NumPy's arrays
        nib.save(image, folder / first)
    (folder / "e.nii.gz").write_bytes(gzip.compress((folder / "a.nii").read_bytes()))
    Image.fromarray((values[..., 3] // 4).astype(np.uint8)).save(folder / "f.png")
    names |= {"gzip": ["e.nii.gz"], "PNG": ["f.png"]}
    return {kind: [folder / name for name in files] for kind, files in names.items()}


def mutated(rng: np.random.Generator, content: bytes, header: int) -> bytes:
    """The bytes of a sound file with one to four faults. The first `header` bytes get most of them."""
    damaged = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        place = int(rng.integers(0, max(1, min(len(damaged), header) if rng.random() < 0.8 else len(damaged))))
        width = int(rng.choice([1, 2, 4, 8]))
        match int(rng.integers(0, 7)):
            case 0:
                damaged[place : place + width] = EXTREMES[rng.integers(len(EXTREMES))] * width
            case 1:
                damaged[place : place + width] = rng.bytes(width)
            case 2 if place < len(damaged):
                damaged[place] ^= 1 << int(rng.integers(8))
            case 3:
                del damaged[place:]
            case 4:
                del damaged[place : place + int(rng.integers(1, 64))]
            case 5:
                damaged[place:place] = damaged[place : place + int(rng.integers(1, 512))]
            case _:
                damaged += rng.bytes(int(rng.integers(1, 4096)))
    return bytes(damaged)


def broken(folder: Path, count: int) -> Iterator[tuple[str, Path]]:
    """Write `count` damaged files, and give the kind and the path of each."""
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
    """What reading does with a file: "read", "read, with a note", "refused", or the fault."""
    start = time.monotonic()
    try:
        item = read_input(InputFile(path, path.stem), FRAMING, "RAS")
        result = "read, with a note" if item.notes else "read"
    except UserError as error:
        result = "refused" if str(path.with_suffix("")) in str(error) else f"unnamed: {error}"
    except Exception as error:
        result = f"{type(error).__name__}: {error}"
    return result if time.monotonic() - start < PATIENCE else f"slow: {result}"


def command_faults(run: Path, folder: Path) -> list[str]:
    """Faults of the whole command on a folder of damaged files."""
    before = sorted(path for path in folder.parent.rglob("*") if folder.parent / "out" not in path.parents)
    line = [sys.executable, "-m", "oasis_jax.predict", run, folder, "--output", folder.parent / "out"]
    words = [*map(str, line), "--orientation", "RAS"]
    process = subprocess.run(words, capture_output=True, text=True, errors="replace")
    after = [path for path in folder.parent.rglob("*") if folder.parent / "out" not in path.parents]
    faults = [f"status {process.returncode}"] if process.returncode not in (0, 1, 2) else []
    faults += ["a traceback"] if "Traceback" in process.stderr else []
    faults += [f"wrote {path}" for path in after if path not in before and path != folder.parent / "out"]
    print(f"the command over {len(find_inputs([folder])[0])} files: status {process.returncode}", *faults, sep="; ")
    return faults


def main() -> None:
    warnings.simplefilter("error")
    count = int(sys.argv[1]) if sys.argv[1:] else 10_000
    outcomes: Counter[tuple[str, str]] = Counter()
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        sample = Path(name) / "kept" / "in"
        sample.mkdir(parents=True)
        for i, (kind, path) in enumerate(broken(Path(name), count)):
            result = outcome(path)
            expected = result in ("read", "read, with a note", "refused")
            outcomes[kind, result if expected else "fault"] += 1
            faults += [] if expected else [f"{kind} {i}: {result}"]
            for file in (path, path.with_suffix(".img")):
                if file.exists() and i % 49 == 0 and sys.argv[2:]:
                    file.rename(sample / file.name)
                file.unlink(missing_ok=True)
        columns = ("read", "read, with a note", "refused", "fault")
        found = {kind: [outcomes[kind, column] for column in columns] for kind in dict.fromkeys(k for k, _ in outcomes)}
        rows = [[kind, *map(str, (sum(cells), *cells))] for kind, cells in found.items()]
        print(figures.markdown(["kind", "files", *columns], rows))
        if sys.argv[2:]:
            faults += command_faults(Path(sys.argv[2]), sample)
    print(*faults[:20], sep="\n")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
