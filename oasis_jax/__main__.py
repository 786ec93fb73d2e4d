"""`python -m oasis_jax`: a list of the commands, and `--version`."""

import sys

from oasis_jax import __version__
from oasis_jax.system.errors import UserError, run_command

COMMANDS = {
    "train": "train a network on slices, keep the best checkpoint, resume, evaluate",
    "evaluate": "write scores, tables and a report of a run, on a split or on whole volumes",
    "compare": "compare runs with each other and with baselines, paired by subject",
    "predict": "label your own PNG slices and volumes",
    "info": "say what a model is, what it was trained on, and its scores",
    "export": "write a run as one file that needs only JAX",
    "data": "check, verify, rebuild, import or draw a tree of slices",
}
"""The commands, `python -m oasis_jax.NAME`, and what each does."""


def main() -> None:
    match sys.argv[1:]:
        case [] | ["-h" | "--help"]:
            print("Segment brain MR slices. python -m oasis_jax.COMMAND --help describes a command.\n")
            for name, purpose in COMMANDS.items():
                print(f"  python -m oasis_jax.{name:8}  {purpose}")
        case ["--version"]:
            print(f"oasis_jax {__version__}")
        case [word, *_]:
            mend = f"use python -m oasis_jax.{word}" if word in COMMANDS else "python -m oasis_jax lists the commands"
            raise UserError(f"{word} is not an argument of python -m oasis_jax: {mend}.")


if __name__ == "__main__":
    run_command(main)
