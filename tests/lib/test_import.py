"""What lib may import and call: the arrows of the design, read from the source.

Each rule is a function from source text to a list of faults. It is tested twice: on
every file of lib, where it must find nothing, and on a line that breaks it.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): (
        path.read_text(encoding="utf-8")
    )
    for path in sorted((ROOT / "lib").rglob("*.py"))
}
every_file = pytest.mark.parametrize("module", FILES)

DRAWING = {"matplotlib", "ipywidgets", "anywidget", "IPython", "traitlets", "PIL"}
PAGE = {"ipywidgets", "anywidget", "traitlets"}
UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
# Calls that draw numbers, and take a generator. Any of them without one would use
# torch's global generator.
DRAWS = {"rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial"}
DRAWS_IN_PLACE = {"uniform_", "normal_", "random_", "bernoulli_", "exponential_"}
NUMPY_OWN = {"default_rng", "Generator", "PCG64", "SeedSequence"}


def imports(module: str, source: str) -> set[str]:
    """Every module that the source imports, also inside functions, by full name."""
    package = (
        module if f"{module}.__init__" in _packages() else module.rpartition(".")[0]
    )
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parts, base]).rstrip(".")
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def _packages() -> set[str]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "lib").rglob("__init__.py")
    }


def _is(name: str, *modules: str) -> bool:
    return any(name == m or name.startswith(m + ".") for m in modules)


def wrong_arrows(module: str, source: str) -> list[str]:
    """Imports that go against the arrows: chapters -> widgets -> the rest -> torch."""
    found = []
    for name in imports(module, source):
        top = name.split(".")[0]
        widget = _is(module, "lib.widgets")
        if _is(name, "lib.widgets") and not widget:
            found.append(f"{module} imports {name}: only widgets import widgets")
        if top in PAGE and not widget:
            found.append(f"{module} imports {name}: only widgets talk to the page")
        if top in {"chapters", "tests", "benchmarks"}:
            found.append(f"{module} imports {name}: lib stands on its own")
        if _is(module, "lib.models") and top in DRAWING:
            found.append(f"{module} imports {name}: a model draws nothing")
        if _is(module, "lib.models") and _is(
            name, "lib.plots", "lib.training", "lib.exercises", "lib.datasets"
        ):
            found.append(f"{module} imports {name}: a model stands below it")
    return sorted(found)


def _dotted(node: ast.expr) -> str:
    """`torch.nn.init` for the expression of that form; "" for any other."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value)
        return f"{base}.{node.attr}" if base else f"?.{node.attr}"
    return ""


def global_randomness(source: str) -> list[str]:
    """Calls that seed or draw from a generator that belongs to everybody."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import) and any(a.name == "random" for a in node.names):
            found.append("import random")
        if isinstance(node, ast.ImportFrom) and node.module == "random":
            found.append("from random import")
        if not isinstance(node, ast.Call):
            continue
        name = _dotted(node.func)
        head, _, last = name.rpartition(".")
        own = {keyword.arg for keyword in node.keywords} & {"generator", None}
        if name in {"torch.manual_seed", "torch.seed", "torch.cuda.manual_seed_all"}:
            found.append(name)
        if head in {"np.random", "numpy.random"} and last not in NUMPY_OWN:
            found.append(name)
        if (head == "torch" and last in DRAWS and not own) or (
            last in DRAWS_IN_PLACE and not own
        ):
            found.append(f"{name} without generator=")
        if name.endswith("default_rng") and not (node.args or node.keywords):
            found.append(f"{name} without a seed")
    return found


def unsafe_calls(module: str, source: str) -> list[str]:
    """Loading that can run foreign code, and code made from text."""
    found = [n for n in imports(module, source) if n.split(".")[0] in UNSAFE]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = _dotted(node.func)
            if name in {"eval", "exec", "compile", "__import__", "torch.load"}:
                found.append(name)
            allowed = [k for k in node.keywords if k.arg == "allow_pickle"]
            if any(getattr(k.value, "value", True) for k in allowed):
                found.append(f"{name} with allow_pickle")
    return found


@every_file
def test_imports_follow_the_arrows(module):
    assert wrong_arrows(module, FILES[module]) == []


@every_file
def test_randomness_comes_from_a_generator_of_its_own(module):
    assert global_randomness(FILES[module]) == []


@every_file
def test_nothing_loads_or_runs_foreign_code(module):
    assert unsafe_calls(module, FILES[module]) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("lib.models.mlp", "import lib.widgets.race"),
        ("lib.models.mlp", "from lib import plots"),
        ("lib.models.mlp", "from .. import widgets"),
        ("lib.models.mlp", "def f():\n    import matplotlib.pyplot as plt"),
        ("lib.models.mlp", "from lib.training import train"),
        ("lib.training", "from lib.widgets import race"),
        ("lib.training", "from . import widgets"),
        ("lib.exercises", "from ..widgets import race"),
        ("lib.plots", "import anywidget"),
        ("lib.datasets", "from tests.lib import helpers"),
    ],
)
def test_a_wrong_arrow_is_found(module, line):
    assert wrong_arrows(module, line)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("lib.widgets.race", "import anywidget\nfrom lib.training import train"),
        ("lib.widgets.race", "from .base import Widget\nfrom lib.widgets import still"),
        ("lib.models.mlp", "import torch\nfrom .attention import Attention"),
        ("lib.plots", "import matplotlib"),
    ],
)
def test_a_right_arrow_is_let_through(module, line):
    assert wrong_arrows(module, line) == []


@pytest.mark.parametrize(
    "line",
    [
        "torch.manual_seed(0)",
        "np.random.seed(0)",
        "numpy.random.rand(3)",
        "np.random.default_rng()",
        "import random",
        "from random import shuffle",
        "torch.randn(3)",
        "torch.randperm(4, device='cpu')",
        "w.uniform_(-1, 1)",
        "nn.init.normal_(w)",
        "torch.empty(3).normal_()",
    ],
)
def test_global_randomness_is_found(line):
    assert global_randomness(line)


@pytest.mark.parametrize(
    "line",
    [
        "torch.Generator().manual_seed(0)",
        "torch.randn(3, generator=g)",
        "torch.randn(3, **options)",
        "np.random.default_rng(seed)",
        "w.uniform_(-1, 1, generator=g)",
    ],
)
def test_a_generator_of_its_own_is_let_through(line):
    assert global_randomness(line) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "torch.load('x.pt')",
        "eval('1')",
        "exec(text)",
        "np.load('x.npy', allow_pickle=True)",
    ],
)
def test_unsafe_loading_is_found(line):
    assert unsafe_calls("lib.x", line)


def test_evaluation_mode_is_not_taken_for_eval():
    assert unsafe_calls("lib.x", "model.eval()\nnp.load(f, allow_pickle=False)") == []


def cycles(sources: dict[str, str]) -> list[str]:
    """Modules of lib that import each other, in a circle of any length."""
    edges = {
        module: {name for name in imports(module, source) if name in sources} - {module}
        for module, source in sources.items()
    }
    while True:  # take away what imports nothing that is left
        leaves = {module for module in edges if not edges[module]}
        if not leaves:
            return sorted(edges)
        edges = {m: names - leaves for m, names in edges.items() if m not in leaves}


def test_no_modules_of_lib_import_each_other_in_a_circle():
    plain = {m: s for m, s in FILES.items() if f"{m}.__init__" not in _packages()}
    assert cycles(plain) == []


def test_a_circle_is_found():
    sources = {
        "lib.a": "from lib import b",
        "lib.b": "import lib.c",
        "lib.c": "from .a import x",
        "lib.d": "import lib.a",
        "lib.e": "",
    }
    assert cycles(sources) == ["lib.a", "lib.b", "lib.c", "lib.d"]


def loaded_by(statement: str) -> set[str]:
    """The top-level modules in memory after a statement, in a fresh Python."""
    program = f"{statement}\nimport sys\nprint(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return {name.split(".")[0] for name in done.stdout.split()}


HEAVY = {"matplotlib", "sklearn", "ipywidgets", "anywidget", "IPython", "pandas"}


def test_import_lib_loads_nothing_heavy():
    assert not loaded_by("import lib") & (HEAVY | {"torch", "numpy", "scipy"})


def test_the_modules_under_a_lesson_load_no_pictures_and_no_scikit_learn():
    modules = ["surfaces", "loss_plane", "datasets", "models.mlp"]
    statement = "\n".join(f"import lib.{name}" for name in modules)
    loaded = loaded_by(statement)
    assert "torch" in loaded
    assert not loaded & HEAVY


def test_every_file_of_lib_opens_with_what_it_holds():
    for module, source in FILES.items():
        if source.strip():
            assert ast.get_docstring(ast.parse(source)), f"{module} has no docstring"
