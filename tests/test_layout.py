"""The house rules that a machine can check: imports run one way, and each library has one room."""

import ast
from pathlib import Path

from conftest import REPOSITORY

PACKAGE = REPOSITORY / "oasis_jax"


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


FILES = {
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): imports(path)
    for path in PACKAGE.rglob("*.py")
}


def test_imports_have_no_circle() -> None:
    graph = {name: {other for other in found if other in FILES and other != name} for name, found in FILES.items()}
    while graph:
        leaves = {name for name, others in graph.items() if not others & graph.keys()}
        assert leaves, f"a circle among {sorted(graph)}"
        graph = {name: others for name, others in graph.items() if name not in leaves}


def test_each_library_is_known_to_one_file() -> None:
    rooms = {"flax": {"oasis_jax.model"}, "grain": {"oasis_jax.pipeline"}, "orbax": {"oasis_jax.checkpoint"}}
    rooms |= {"surface_distance": {"oasis_jax.surface"}}
    for library, allowed in rooms.items():
        users = {name for name, found in FILES.items() if any(i.split(".")[0] == library for i in found)}
        assert users == allowed


def test_nothing_unpickles_or_evaluates_data() -> None:
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        called = {
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not called & {"eval", "exec", "__import__"}, path
        assert not any(name.split(".")[0] in {"pickle", "dill", "shelve"} for name in imports(path)), path
