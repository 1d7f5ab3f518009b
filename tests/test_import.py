"""`import keras_pretext` is light, and the arrows between its parts point down."""

import ast
import os
import pathlib
import subprocess
import sys
import time

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "keras_pretext"
HEAVY = {"tensorflow", "keras", "jax", "torch", "tensorflow_datasets", "numpy", "PIL"}

# What a part may import besides itself and the ground floor, top to bottom.
GROUND = {"_backend", "_files", "registry", ""}
MODELS = {"backbones", "losses", "layers", "image"}
TOP = {"serving", "evaluation", "mining", "zoo", "training"}
MAY_IMPORT = {
    "cli": TOP | MODELS | {"tasks", "data", "visualize", "demo", "explore"},
    "explore": TOP | MODELS | {"tasks", "data", "visualize"},
    "demo": TOP | MODELS | {"tasks", "data", "visualize"},
    **{part: TOP | MODELS | {"tasks", "data", "visualize"} for part in TOP},
    "visualize": MODELS | {"tasks", "data"},
    "tasks": MODELS,
    "backbones": {"losses", "layers", "image"},
    "losses": {"layers", "image"},
    "layers": {"image"},
    "image": set(),
    "data": set(),
    "": set(),
    "_backend": set(),
    "_files": set(),
    "registry": set(),
}


def run(*arguments, **environment):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True,
                          env={**os.environ, **environment}, check=False)


def test_import_loads_nothing_heavy():
    done = run("-X", "importtime", "-c", "import keras_pretext")
    assert done.returncode == 0, done.stderr
    lines = [line.split("|") for line in done.stderr.splitlines() if line.startswith("import time")]
    loaded = {name.strip() for *_, name in lines}
    assert "keras_pretext" in loaded
    assert not {name for name in loaded if name.split(".")[0] in HEAVY}
    microseconds = {name.strip(): int(total) for _, total, name in lines[1:]}
    assert microseconds["keras_pretext"] < 500_000


def test_help_answers_in_under_a_second():
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        done = run("-m", "keras_pretext.cli", "--help")
        seconds.append(time.perf_counter() - start)
        assert done.returncode == 0, done.stderr
    for command in ("pretrain", "probe", "publish", "preview", "zoo", "profile"):
        assert command in done.stdout
    assert min(seconds) < 1.0


def test_parts_load_on_first_use():
    code = ("import sys, keras_pretext; assert 'keras' not in sys.modules; "
            "keras_pretext.tasks.list(); assert 'keras' in sys.modules")
    done = run("-c", code)
    assert done.returncode == 0, done.stderr


def test_unknown_part_names_the_parts():
    import keras_pretext

    with pytest.raises(AttributeError, match="tasks.*backbones"):
        keras_pretext.taskz  # noqa: B018


def test_missing_backend_names_the_extras():
    done = run("-c", "import keras_pretext.tasks", KERAS_BACKEND="no_such_backend")
    assert done.returncode != 0
    assert "keras_pretext[cpu]" in done.stderr and "no_such_backend" in done.stderr


def imported_parts(path):
    """(line, part) of every import of keras_pretext in a file, those in functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            names = [node.module]
            if node.module == "keras_pretext":
                names = [f"keras_pretext.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            head, *rest = name.split(".")
            if head == "keras_pretext":
                yield node.lineno, rest[0] if rest else ""


def test_nothing_imports_upwards():
    wrong, arrows = [], 0
    for path in sorted(PACKAGE.rglob("*.py")):
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py").replace("__init__", "")
        for line, other in imported_parts(path):
            arrows += 1
            if other != part and other not in GROUND | MAY_IMPORT[part]:
                wrong.append(f"{path.relative_to(PACKAGE)}:{line}: {part} imports {other}")
    assert arrows > 50 and not wrong, "\n".join(wrong)


@pytest.mark.parametrize("part", ["tasks", "losses", "layers", "backbones", "image"])
def test_model_code_imports_no_tensorflow_at_module_level(part):
    for path in sorted((PACKAGE / part).rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            names = ([a.name for a in node.names] if isinstance(node, ast.Import)
                     else [node.module] if isinstance(node, ast.ImportFrom) else [])
            assert not [n for n in names if n.split(".")[0] == "tensorflow"], path
