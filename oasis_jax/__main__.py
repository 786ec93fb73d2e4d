"""`python -m oasis_jax`: which commands there are, and `--version`."""

import sys

from oasis_jax import __version__
from oasis_jax.system import guard
from oasis_jax.system.errors import UserError, run_command

COMMANDS = {
    "train": "train a network on slices, keep the best checkpoint, resume, evaluate",
    "evaluate": "scores, tables and a report of a run, on a split or on whole volumes",
    "compare": "runs beside each other and beside baselines, paired by subject",
    "predict": "label PNG slices and volumes of your own",
    "export": "write a run as one file that JAX alone can load",
    "data": "check, verify, rebuild, import or make up a tree of slices",
}
"""The commands, `python -m oasis_jax.NAME`, and what each does."""


def main() -> None:
    match sys.argv[1:]:
        case [] | ["-h" | "--help"]:
            print("Segment brain MR slices: python -m oasis_jax.COMMAND --help says more about a command.\n")
            for name, purpose in COMMANDS.items():
                print(f"  python -m oasis_jax.{name:8}  {purpose}")
        case ["--version"]:
            print(f"oasis_jax {__version__}")
        case [word, *_]:
            mend = f"say python -m oasis_jax.{word}" if word in COMMANDS else "python -m oasis_jax lists the commands"
            raise UserError(f"Nothing is called {word} here: {mend}.")


if __name__ == "__main__":
    guard.install()
    run_command(main)
