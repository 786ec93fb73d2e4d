"""`python -m oasis_jax`: a list of the commands, and `--version`. Also where the scripts `oasis-COMMAND` begin."""

import sys
from functools import partial
from importlib import import_module

from oasis_jax import __version__
from oasis_jax.system import memory
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


def _script(name: str) -> None:
    if name == "train":
        memory.use_large_pages()  # before anything is imported that takes seconds
    run_command(import_module(f"oasis_jax.{name}" if name != "data" else "oasis_jax.data.__main__").main)


train, evaluate, compare, predict, info, export, data = (partial(_script, name) for name in COMMANDS)
"""Of the scripts `oasis-train`, `oasis-evaluate` and so on."""


if __name__ == "__main__":
    run_command(main)
