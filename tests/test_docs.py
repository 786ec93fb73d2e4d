"""What the pages tell people to type works."""

import html
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import pytest
import table
from forked import MODULES
from helpers import REPOSITORY, blocks, brain, launch, pasted, save

from oasis_jax import config
from oasis_jax.system.arguments import command_line

FOLDERS = (".", "docs", "benchmarks", "oasis_jax/metrics", "oasis_jax/pretrained")
PAGES = [path for folder in FOLDERS for path in sorted((REPOSITORY / folder).glob("*.md"))]
RESULTS = re.compile(r"<!-- results -->\n(.*?)<!-- end of results -->", re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_understood(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Understood(Exception):
        pass

    def read_only(kind: Any, **options: Any) -> NoReturn:
        raise Understood(command_line(kind, **options))

    for name, words in pasted(page):
        program = import_module(MODULES[name])
        monkeypatch.setattr(program, "command_line", read_only)
        monkeypatch.setattr(sys, "argv", [name, *words])
        with pytest.raises(Understood) as found:
            program.main()
        if name == "train":
            config.validate(found.value.args[0].config)


def test_every_program_is_on_a_page() -> None:
    assert {name for page in PAGES for name, _ in pasted(page)} == set(MODULES)


def test_the_drivers_example_runs_and_agrees() -> None:
    (example,) = blocks(REPOSITORY / "docs/drivers.md", "python")
    done = launch(code=example)
    assert done.returncode == 0, done.stderr
    losses = done.stdout.split()
    assert len(losses) == 3
    assert len(set(losses)) == 1


def test_the_example_of_prediction_labels_a_scan(finished: Path, tmp_path: Path) -> None:
    (example,) = blocks(REPOSITORY / "docs/prediction.md", "python")
    more = """
classes, probabilities = labels.classes, labels.probabilities
assert (str(classes.dtype), classes.shape) == ("uint8", (26, 37, 50))
assert (str(probabilities.dtype), probabilities.shape) == ("float32", (26, 37, 50, 4))
assert (classes == probabilities.argmax(-1)).all() and abs(probabilities.sum(-1) - 1).max() < 1e-5
assert set(labels.millilitres) == {"CSF", "gray matter", "white matter"}
assert labels.affine.shape == (4, 4)
"""
    scan = save(tmp_path / "scan.nii.gz", brain((37, 50, 26))[0], way="SRA")
    for name, path in (("pretrained", finished), ("scan.nii.gz", scan)):
        example = example.replace(f'"{name}"', repr(str(path)))
    done = launch(code=example + more)
    assert done.returncode == 0, done.stderr


def plain(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>|\*\*", "", text)).split())


def test_the_report_has_the_definitions_of_the_page(finished: Path) -> None:
    page, report = (REPOSITORY / "oasis_jax/metrics/README.md").read_text(), finished / "evaluation/test/report.html"
    definitions = re.findall(r"^- (\*\*.*\n(?:  .*\n)*)", page, re.MULTILINE)
    assert len(definitions) == page.count("- **") == 10
    told = plain(report.read_text())
    for definition in definitions:
        assert plain(definition) in told


def test_the_table_of_results_is_written_into_the_readme(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "README.md"
    page.write_text((REPOSITORY / "README.md").read_text())
    monkeypatch.setattr(sys, "argv", ["table.py", "test", str(finished), "--into", str(page)])
    table.main()
    (found,), (shown,) = RESULTS.findall(page.read_text()), RESULTS.findall((REPOSITORY / "README.md").read_text())
    lines = found.splitlines()
    assert lines[0] == shown.splitlines()[0]
    assert [line.split(" | ")[1] for line in lines[2:4]] == ["finished", "Otsu in the true brain mask (oracle)"]
    assert " | ".join(table.PUBLISHED) in shown  # and beside the slices of OASIS alone
    assert lines[4:6] == ["", "```sh"]
    assert "--data.root 'tree with spaces é' --run runs/finished " in lines[6]
    assert RESULTS.sub("", page.read_text()) == RESULTS.sub("", (REPOSITORY / "README.md").read_text())


def headings(page: Path) -> set[str]:
    """The names by which a link finds a heading, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_place_that_a_page_links_to_exists(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        name, _, heading = link.partition("#")
        if not re.match(r"\w+:", link):
            target = (page.parent / name).resolve() if name else page
            assert target.exists(), link
            assert not heading or heading in headings(target), link
