"""The house rules that a machine can check: a room imports only rooms below it, and each library has one room."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from helpers import REPOSITORY

PACKAGE = REPOSITORY / "oasis_jax"

FLOORS = (
    {"system", "pretrained"},
    {"config", "classes", "geometry"},
    {"overlays"},
    {"volumes"},
    {"data", "metrics"},
    {"network"},
    {"runs"},
    {"inference"},
    {"evaluation"},
    {"report"},
    {"prediction"},
    {"training"},
    {"__main__", "train", "evaluate", "predict", "compare", "info", "export", "api"},
)
"""Rooms from the ground up. A room imports only rooms of the floors below its own; on top stand the commands, and the
door for other programs."""

HEIGHT = {"": len(FLOORS)} | {room: height for height, floor in enumerate(FLOORS) for room in floor}


def imports(path: Path) -> set[str]:
    """What a file imports when it runs; not what a type checker alone reads."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


FILES = {
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): imports(path)
    for path in PACKAGE.rglob("*.py")
}


def room(module: str) -> str:
    """The folder of a module of the package, or the module itself where it lies in none; "" for the package."""
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_room_imports_only_rooms_below_it(name: str) -> None:
    height = HEIGHT[room(name)]
    used = {room(other) for other in FILES[name] if other in FILES} - {"", room(name)}
    assert all(HEIGHT[other] < height for other in used), f"{name} imports {sorted(used)}"


def test_imports_have_no_circle() -> None:
    graph = {name: {other for other in found if other in FILES and other != name} for name, found in FILES.items()}
    TopologicalSorter(graph).prepare()  # CycleError names the files of a circle


def test_each_library_is_known_to_one_file() -> None:
    files = {"flax": "network.unet", "grain": "data.batches", "safetensors": "runs.weights", "orbax": "runs.arrays"}
    files |= {"surface_distance": "metrics.surface", "jinja2": "report.template", "tensorboardX": "report.events"}
    for library, file in files.items():
        users = {name for name, found in FILES.items() if any(i.split(".")[0] == library for i in found)}
        assert users == {f"oasis_jax.{file}"}


def test_nothing_unpickles_or_evaluates_data() -> None:
    for path in PACKAGE.rglob("*.py"):
        used = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert not used & {"eval", "exec", "__import__"}, path
    for name, found in FILES.items():
        assert not {other.split(".")[0] for other in found} & {"pickle", "dill", "shelve"}, name
