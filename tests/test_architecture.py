"""The rules that make the package readable in one sitting, checked on its source."""

import ast
import graphlib
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import taskaware
from taskaware import dims

ROOT = Path(taskaware.__file__).parent
SOURCES = {path.relative_to(ROOT).as_posix(): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}
MODULES = {name.removesuffix("/__init__.py").removesuffix(".py") for name in SOURCES}
"""Paths below the package, as in "data/batches"; a folder stands for its __init__."""

ORDER = re.findall(
    r"\w+", " ".join(line for line in (taskaware.__doc__ or "").splitlines() if "←" in line)
)
ALPHABET = set(re.findall(r"^([A-Z])   ", dims.__doc__ or "", re.MULTILINE))

HOMES = {
    "tensorflow_datasets": ("data/",),
    "grain": ("data/",),
    "sentencepiece": ("data/",),
    "soundfile": ("data/",),
    "espeakng_loader": ("data/",),
    "py3langid": ("data/",),
    "yaml": ("data/",),
    "etils": ("data/",),
    "apache_beam": ("data/",),
    "safetensors": ("tensors.py",),
    "huggingface_hub": ("pretrained.py",),
    "optax": ("losses.py", "train/"),
    "orbax": ("train/checkpoint.py",),
    "sacrebleu": ("evaluate.py",),
    "jiwer": ("evaluate.py",),
    "rapidfuzz": ("evaluate.py",),
    "sklearn": ("analysis.py",),
    "matplotlib": ("analysis.py",),
    "tyro": ("commands.py", "corpus_commands.py", "run_commands.py"),
    "rich": ("report.py",),
    "tensorboardX": ("report.py",),
}


def imports(tree):
    """Every import wherever it stands: (line, module, the name taken from it or None)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, None
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: a relative import hides where it leads"
            for alias in node.names:
                yield node.lineno, node.module or "", alias.name


def libraries(tree):
    """Every module from elsewhere that a source imports: (line, first part of its name)."""
    return [
        (line, module.partition(".")[0])
        for line, module, _ in imports(tree)
        if module.partition(".")[0] not in {"taskaware", *sys.stdlib_module_names}
    ]


def own(tree):
    """Every module of this package that a source imports: (line, path below the package)."""
    for line, module, name in imports(tree):
        if module.partition(".")[0] == "taskaware":
            path = module.replace(".", "/").removeprefix("taskaware").removeprefix("/")
            inner = f"{path}/{name}".removeprefix("/")
            if inner in MODULES:
                yield line, inner
            elif path:
                yield line, path
            else:
                assert name in taskaware._HOME, f"line {line}: import the module that is meant"
                yield line, taskaware._HOME[name].removeprefix("taskaware.").replace(".", "/")


def out_of_order(name, tree):
    me = name.removesuffix(".py").partition("/")[0]
    met = ORDER[: ORDER.index(me) + 1] if me in ORDER else []
    for line, imported in own(tree):
        if imported.partition("/")[0] not in met:
            yield f"{name}:{line} imports {imported}, which a reader has not met yet"


def away_from_home(name, tree):
    for line, library in libraries(tree):
        if not name.startswith(HOMES.get(library, (name,))):
            yield f"{name}:{line} imports {library}, whose home is {' and '.join(HOMES[library])}"


def test_every_module_has_its_place_in_the_reading_order():
    top = {module.partition("/")[0] for module in MODULES} - {"__init__"}
    assert sorted(ORDER) == sorted(top)


@pytest.mark.parametrize("name", [name for name in SOURCES if name != "__init__.py"])
def test_a_module_imports_only_what_the_reader_has_met(name):
    assert not list(out_of_order(name, TREES[name]))


def test_no_modules_of_a_folder_import_each_other_in_a_circle():
    graph = {
        name.removesuffix("/__init__.py").removesuffix(".py"): {
            imported for _, imported in own(tree)
        }
        for name, tree in TREES.items()
        if name != "__init__.py"
    }
    assert {"data/tasks", "dims"} <= graph["data/batches"]
    list(graphlib.TopologicalSorter(graph).static_order())  # CycleError names the circle


@pytest.mark.parametrize("name", SOURCES)
def test_a_library_is_imported_in_its_home_alone(name):
    assert not list(away_from_home(name, TREES[name]))


def test_every_library_that_has_a_home_is_used_there():
    used = {library for tree in TREES.values() for _, library in libraries(tree)}
    assert set(HOMES) <= used


@pytest.mark.parametrize("name", [name for name in SOURCES if name.startswith("data/")])
def test_data_does_without_jax(name):
    assert not {library for _, library in libraries(TREES[name])} & {"jax", "flax", "optax"}
    assert all(path.partition("/")[0] != "layers" for _, path in own(TREES[name]))


@pytest.mark.parametrize("name", [name for name in SOURCES if name.startswith("modulation/")])
def test_modulation_stands_alone(name):
    found = {library for _, library in libraries(TREES[name])}
    assert found <= {"jax", "flax", "numpy", "jaxtyping"}
    tops = {path.partition("/")[0] for _, path in own(TREES[name])}
    assert tops <= {"errors", "dims", "layers", "modulation"}


def test_the_linen_side_of_modulation_needs_no_more_than_modulation_does():
    found = {library for _, library in libraries(TREES["linen.py"])}
    assert found <= {"jax", "flax", "numpy", "jaxtyping"}
    assert {path.partition("/")[0] for _, path in own(TREES["linen.py"])} <= {
        "errors",
        "modulation",
    }


def test_the_layers_that_modulation_is_made_of_stand_alone_too():
    found = {library for _, library in libraries(TREES["layers.py"])}
    assert found <= {"jax", "flax", "numpy", "jaxtyping"}
    assert {path for _, path in own(TREES["layers.py"])} <= {"dims"}


@pytest.mark.parametrize("name", [name for name in SOURCES if name.startswith("model/")])
def test_the_model_knows_neither_data_nor_training(name):
    tops = {path.partition("/")[0] for _, path in own(TREES[name])}
    assert not tops & {"data", "train"}


def test_the_loop_does_not_know_how_it_is_evaluated():
    found = {path for _, path in own(TREES["train/loop.py"])}
    assert found
    assert not found & {"evaluate", "results", "inference", "decode"}


@pytest.mark.parametrize(
    ("name", "source", "check"),
    [
        ("losses.py", "from taskaware.train.loop import train", out_of_order),
        ("losses.py", "import taskaware.train.loop", out_of_order),
        ("losses.py", "from taskaware import train", out_of_order),
        ("config.py", "from taskaware import FiLM", out_of_order),
        ("config.py", "def f():\n    from taskaware.data import batches", out_of_order),
        ("run.py", "def f():\n    import optax", away_from_home),
        ("model/blocks.py", "if True:\n    import tensorflow_datasets as tfds", away_from_home),
        ("train/loop.py", "from orbax.checkpoint import v1", away_from_home),
        ("data/tasks.py", "import tyro.conf", away_from_home),
    ],
)
def test_an_import_out_of_place_is_found(name, source, check):
    assert len(list(check(name, ast.parse(source)))) == 1
    assert not list(check(name, ast.parse("import numpy\nfrom taskaware.errors import nearest")))


# The alphabet: x_BSD, "B S D" and einsum("BSD,...") must say the same.

_SUFFIX = re.compile(r"[a-z]_([A-Z][A-Z0-9]*)$")


def name_of(node):
    """The variable that an expression is about, if its shape is the variable's."""
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            return node.attr
        case ast.Call(func=ast.Attribute(value=value, attr="astype")):
            return name_of(value)
        case ast.Subscript(value=value, slice=ast.Constant(value=index)) if index is ...:
            return name_of(value)
        case ast.BinOp(left=left, op=ast.Mult() | ast.Div() | ast.Add() | ast.Sub()):
            return name_of(left)
    return ""


def suffix(name):
    found = _SUFFIX.search(name)
    return found and found[1]


def shape(annotation):
    """The dimensions of a jaxtyping annotation as a list, without variadic ones; None if none."""
    match annotation:
        case ast.BinOp(left=left, op=ast.BitOr(), right=ast.Constant(value=None)):
            return shape(left)
        case ast.Subscript(slice=ast.Tuple(elts=[_, ast.Constant(value=str(dimensions))])):
            words = [word.lstrip("#?") for word in dimensions.split()]
            return [word for word in words if word != "..." and not word.startswith("*")]
    return None


def annotated(tree):
    """(line, name, annotation) of arguments, fields and variables, and of what is returned."""
    for node in ast.walk(tree):
        match node:
            case ast.arg(arg=name, annotation=ast.expr() as annotation):
                yield node.lineno, name, annotation
            case ast.AnnAssign(target=target, annotation=annotation):
                yield node.lineno, name_of(target), annotation
            case ast.FunctionDef(returns=ast.expr() as annotation):
                inner = {
                    below
                    for part in ast.walk(node)
                    if part is not node and isinstance(part, ast.FunctionDef | ast.Lambda)
                    for below in ast.walk(part)
                }
                for part in ast.walk(node):
                    if isinstance(part, ast.Return) and part not in inner:
                        yield part.lineno, name_of(part.value), annotation


def einsums(tree):
    """(line, name, letters) of what goes into an einsum and of the variable it is assigned to."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(args=[ast.Constant(value=str(equation)), *operands]) if (
                name_of(node.func) == "einsum"
            ):
                inputs, _, output = equation.replace(" ", "").partition("->")
                for letters, operand in zip(inputs.split(","), operands, strict=True):
                    yield node.lineno, name_of(operand), letters
                yield node.lineno, "", output
            case ast.Assign(
                targets=[target],
                value=ast.Call(func=func, args=[ast.Constant(value=str(equation)), *_]),
            ) if name_of(func) == "einsum":
                yield node.lineno, name_of(target), equation.partition("->")[2].strip()


def disagreements(tree):
    for line, name, annotation in annotated(tree):
        dimensions, letters = shape(annotation), suffix(name)
        if dimensions is not None:
            if letters and letters != "".join(dimensions):
                yield f"{line}: {name} is annotated {' '.join(dimensions)!r}"
            for dimension in dimensions:
                if len(dimension) == 1 and dimension not in ALPHABET and not dimension.isdigit():
                    yield f"{line}: {name} has a dimension {dimension!r} that dims.py does not name"
    for line, name, letters in einsums(tree):
        if suffix(name) not in (None, letters):
            yield f"{line}: {name} is {letters!r} in an einsum"
        if not set(letters) <= ALPHABET:
            yield f"{line}: an einsum has {letters!r}, which dims.py does not name"


@pytest.mark.parametrize("name", SOURCES)
def test_names_annotations_and_einsums_agree(name):
    assert not list(disagreements(TREES[name]))


def test_the_alphabet_is_read_from_its_key():
    assert ALPHABET == set("BACSTDHKFVZWXNLPMR")


def test_the_check_of_shapes_sees_the_package():
    seen = [
        name
        for tree in TREES.values()
        for _, name, annotation in annotated(tree)
        if shape(annotation) is not None and suffix(name)
    ]
    assert len(seen) > 80
    used = [name for tree in TREES.values() for _, name, _ in einsums(tree) if suffix(name)]
    assert {"q_BHTK", "weight_BHTS", "score_BST", "x_BSD", "table_VD"} <= set(used)


AGREEMENT = """
def f(x_BSD: Float[Array, "B S D"], m_BTS: Bool[Array | np.ndarray, "#B #T S"], n: int, p_B2:
        Float[np.ndarray, "B 2"], g_BD: Float[Array, "*L B D"] | None, t: Int[Array, "*rest"],
        l_B: Int[Array, " B"]) -> Float[Array, "B T S"]:
    k_BTD: Float[Array, "B T D"] = make(x_BSD)
    s_BST = jnp.einsum("BSD,BTD->BST", x_BSD.astype(dtype) * 2, k_BTD)
    w_BTS = jnp.einsum("BST -> BTS", s_BST)
    return w_BTS
"""


def test_a_source_that_agrees_passes():
    assert list(disagreements(ast.parse(AGREEMENT))) == []


@pytest.mark.parametrize(
    ("right", "wrong", "named"),
    [
        ('x_BSD: Float[Array, "B S D"]', 'x_BSD: Float[Array, "B D S"]', "x_BSD is annotated"),
        ('"B S D"', '"B seq D"', "x_BSD is annotated"),
        ('"#B #T S"', '"#B S"', "m_BTS is annotated"),
        ('"B 2"', '"B 3"', "p_B2 is annotated"),
        ('"*L B D"', '"*B L D"', "g_BD is annotated"),
        ('" B"', '" Q"', "'Q' that dims.py does not name"),
        ('k_BTD: Float[Array, "B T D"]', 'k_BTD: Float[Array, "B T"]', "k_BTD is annotated"),
        ("BSD,BTD->BST", "BTD,BSD->BST", "x_BSD is 'BTD'"),
        ("BSD,BTD->BST", "BSD,BTD->BTS", "s_BST is 'BTS'"),
        ("BSD,BTD->BST", "BSd,BTd->BST", "x_BSD is 'BSd'"),
        ("BST -> BTS", "BXT -> BTX", "s_BST is 'BXT'"),
        ('-> Float[Array, "B T S"]', '-> Float[Array, "B S T"]', "w_BTS is annotated"),
    ],
)
def test_a_planted_disagreement_is_found(right, wrong, named):
    assert right in AGREEMENT
    found = list(disagreements(ast.parse(AGREEMENT.replace(right, wrong))))
    assert any(named in one for one in found)


# What an import costs.


def modules_after(code):
    """The modules that a fresh interpreter has loaded after some code."""
    command = f"import sys\n{code}\nprint(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, cwd=ROOT.parent, check=True
    )
    return set(run.stdout.split())


def test_type_checkers_of_other_packages_are_told_that_this_one_is_typed():
    assert (ROOT / "py.typed").is_file()  # PEP 561; wheels take all that stands beside it


def test_importing_the_package_imports_nothing_heavy():
    found = modules_after("import taskaware")
    assert "taskaware" in found
    heavy = {"tensorflow", "torch", "tensorflow_datasets", "matplotlib", "sklearn", "optax"}
    assert not found & (heavy | {"grain", "jax", "flax", "numpy"})


def test_the_commands_do_not_need_jax_to_answer():
    found = modules_after("import taskaware.commands")
    assert "taskaware.commands" in found
    heavy = {"tensorflow", "torch", "tensorflow_datasets", "matplotlib", "sklearn", "optax"}
    assert not found & (heavy | {"grain", "jax", "flax"})


def test_modulation_needs_jax_and_flax_alone():
    found = modules_after(
        "from taskaware import film, graft, ExplicitTCN, ImplicitTCN\nimport taskaware.linen"
    )
    assert {"jax", "flax", "taskaware.modulation"} <= found
    ours = {name.split(".")[1] for name in found if name.startswith("taskaware.")}
    assert ours == {"modulation", "linen", "layers", "errors"}
    assert not found & {"tensorflow", "torch", "tensorflow_datasets", "grain", "sentencepiece"}


def test_every_public_name_is_found_where_it_lives():
    for name, home in taskaware._HOME.items():
        assert getattr(taskaware, name) is getattr(importlib.import_module(home), name)
    assert set(taskaware._HOME) | {"__version__"} == set(dir(taskaware))


def test_type_checkers_see_the_same_public_names():
    (block,) = [node for node in TREES["__init__.py"].body if isinstance(node, ast.If)]
    seen = {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == taskaware._HOME


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'flim'"):
        taskaware.flim  # noqa: B018


# Size.


@pytest.mark.parametrize("name", SOURCES)
def test_a_file_has_at_most_400_lines(name):
    assert len(SOURCES[name].read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("name", SOURCES)
def test_a_function_has_at_most_80_lines(name):
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 80, node.name


def test_no_module_is_a_drawer():
    words = {word for module in MODULES for part in module.split("/") for word in part.split("_")}
    assert not words & {"utils", "util", "helpers", "helper", "common", "misc", "manager", "tools"}
