"""The rules that make the package readable in one sitting, checked on its source."""

import ast
import graphlib
import importlib
import re
import subprocess
import sys

import pytest
from support.sources import ROOT, SOURCES, TESTS, TREES

import taskaware

STUBS = {path.parent.relative_to(ROOT).as_posix(): path for path in sorted(ROOT.rglob("*.pyi"))}
MODULES = {name.removesuffix("/__init__.py").removesuffix(".py") for name in SOURCES}
"""Paths below the package, as in "data/batches"; a folder stands for its __init__."""
ROOMS = {"": "__init__.py"} | {
    name.removesuffix("/__init__.py"): name for name in SOURCES if name.endswith("/__init__.py")
}
ONE_PER_KIND = ("data/corpora",)
"""Rooms that may have any number of files: one for each of some kind."""

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
    "safetensors": ("files/tensors.py",),
    "huggingface_hub": ("pretrained/",),
    "optax": ("nn/losses.py", "training/"),
    "orbax": ("training/checkpoint.py",),
    "sacrebleu": ("evaluation/metrics/",),
    "jiwer": ("evaluation/metrics/",),
    "rapidfuzz": ("evaluation/metrics/",),
    "sklearn": ("evaluation/figures.py",),
    "matplotlib": ("evaluation/figures.py",),
    "tyro": ("commands/",),
    "rich": ("runs/console.py", "evaluation/tables.py"),
    "tensorboardX": ("runs/log.py",),
}


def order_of(room):
    """The names in a room's reading order, as its docstring has it."""
    text = ast.get_docstring(TREES[ROOMS[room]]) or ""
    _, _, order = text.partition("eading order")
    chain = re.search(r"\w+(?:\s+←\s+\w+)+", order)
    return chain[0].replace("←", " ").split() if chain else []


ORDER = {room: order_of(room) for room in ROOMS}


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
            assert path or inner in MODULES, f"line {line}: import the module that is meant"
            yield line, inner if inner in MODULES else path


def first_step(room, module):
    """What a module below a room is called in the room's order."""
    return module.removeprefix(f"{room}/" if room else "").partition("/")[0]


def out_of_order(name, tree):
    """Imports of what stands later, in the deepest room that both modules share."""
    module = name.removesuffix("/__init__.py").removesuffix(".py")
    for line, imported in own(tree):
        room = module.rpartition("/")[0] if name not in ROOMS.values() else module
        while room and not f"{imported}/".startswith(f"{room}/"):
            room = room.rpartition("/")[0]
        if imported == room and name not in ROOMS.values():
            yield f"{name}:{line} imports its own room; import the file that is meant"
            continue
        order = ORDER[room]
        if module == room:  # a room's __init__ hands out what stands in it
            continue
        me, other = first_step(room, module), first_step(room, imported)
        if me == other:
            continue
        if other not in order or me not in order or order.index(other) > order.index(me):
            yield f"{name}:{line} imports {imported}, which a reader has not met yet"


def away_from_home(name, tree):
    for line, library in libraries(tree):
        if not name.startswith(HOMES.get(library, (name,))):
            yield f"{name}:{line} imports {library}, whose home is {' and '.join(HOMES[library])}"


@pytest.mark.parametrize("room", ROOMS)
def test_every_file_of_a_room_has_its_place_in_the_reading_order(room):
    inside = {
        first_step(room, module)
        for module in MODULES
        if f"{module}/".startswith(f"{room}/" if room else "") and module != room
    } - {"__init__"}
    assert sorted(ORDER[room] or inside) == sorted(inside)
    assert len(inside) < 2 or ORDER[room]


def test_the_top_level_is_a_plan_and_not_a_list():
    assert len(ORDER[""]) <= 20


@pytest.mark.parametrize("room", [room for room in ROOMS if room not in ("", *ONE_PER_KIND)])
def test_a_room_has_at_most_12_files(room):
    files = [name for name in SOURCES if name.rpartition("/")[0] == room]
    assert len(files) - 1 <= 12


@pytest.mark.parametrize("name", [name for name in SOURCES if name != "__init__.py"])
def test_a_module_imports_only_what_the_reader_has_met(name):
    assert not list(out_of_order(name, TREES[name]))


def test_no_modules_import_each_other_in_a_circle():
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


def rooms_of(tree):
    return {path.partition("/")[0] for _, path in own(tree)}


@pytest.mark.parametrize("name", [name for name in SOURCES if name.startswith("data/")])
def test_data_does_without_jax(name):
    assert not {library for _, library in libraries(TREES[name])} & {"jax", "flax"}
    assert not rooms_of(TREES[name]) & {"nn", "devices", "modulation", "models"}


@pytest.mark.parametrize("name", [name for name in SOURCES if name.startswith("modulation/")])
def test_modulation_stands_alone(name):
    assert {library for _, library in libraries(TREES[name])} <= {
        *("jax", "flax", "numpy", "jaxtyping")
    }
    assert rooms_of(TREES[name]) <= {"errors", "dims", "nn", "modulation"}


@pytest.mark.parametrize("name", ["nn/linear.py", "nn/layers.py"])
def test_the_layers_that_modulation_is_made_of_stand_alone_too(name):
    assert {library for _, library in libraries(TREES[name])} <= {
        *("jax", "flax", "numpy", "jaxtyping")
    }
    assert rooms_of(TREES[name]) <= {"dims", "nn"}


@pytest.mark.parametrize("name", [name for name in SOURCES if name.startswith("models/")])
def test_the_models_know_neither_data_nor_training(name):
    assert not rooms_of(TREES[name]) & {"data", "training"}


@pytest.mark.parametrize("name", [name for name in SOURCES if name.startswith("pretrained/")])
def test_what_serves_a_model_needs_nothing_of_training(name):
    assert not rooms_of(TREES[name]) & {"training", "runs", "evaluation", "workflows"}


def test_the_loop_does_not_know_how_it_is_evaluated():
    assert rooms_of(TREES["training/loop.py"]).isdisjoint({"evaluation", "runs", "search"})


def test_no_module_shares_its_name_with_a_function_or_class():
    stems = {part for module in MODULES for part in module.split("/")}
    defined = {
        (node.name, name)
        for name, tree in TREES.items()
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not name.startswith("commands/")  # named as what is typed
    }
    assert not {(one, name) for one, name in defined if one in stems}


@pytest.mark.parametrize(
    ("name", "source", "check"),
    [
        ("nn/losses.py", "from taskaware.training.loop import train", out_of_order),
        ("nn/losses.py", "import taskaware.training.loop", out_of_order),
        ("nn/losses.py", "from taskaware import training", out_of_order),
        ("nn/linear.py", "from taskaware.nn.losses import stream_health", out_of_order),
        ("nn/losses.py", "from taskaware.nn import Linear", out_of_order),
        ("data/rows.py", "from taskaware.data.batches import training_batches", out_of_order),
        ("data/audio/mp3.py", "from taskaware.data.audio.augment import x", out_of_order),
        ("data/audio/mp3.py", "from taskaware.data.tasks import x", out_of_order),
        (
            "config/task.py",
            "from taskaware.modulation import FiLM\nimport taskaware.data",
            out_of_order,
        ),
        ("config/task.py", "def f():\n    from taskaware.data import batches", out_of_order),
        ("runs/folder.py", "def f():\n    import optax", away_from_home),
        ("models/blocks.py", "if True:\n    import tensorflow_datasets as tfds", away_from_home),
        ("training/loop.py", "from orbax.checkpoint import v1", away_from_home),
        ("data/tasks.py", "import tyro.conf", away_from_home),
    ],
)
def test_an_import_out_of_place_is_found(name, source, check):
    assert len(list(check(name, ast.parse(source)))) == 1
    assert not list(check(name, ast.parse("import numpy\nfrom taskaware.errors import nearest")))


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
    heavy = {"tensorflow", "torch", "tensorflow_datasets", "matplotlib", "sklearn"}
    assert not found & (heavy | {"grain", "jax", "flax", "numpy"})


def test_the_commands_do_not_need_jax_to_answer():
    found = modules_after("import taskaware.commands")
    assert "taskaware.commands" in found
    heavy = {"tensorflow", "torch", "tensorflow_datasets", "matplotlib", "sklearn"}
    assert not found & (heavy | {"grain", "jax", "flax"})


def test_modulation_needs_jax_and_flax_alone():
    found = modules_after(
        "from taskaware import film, graft, ExplicitTCN, ImplicitTCN\nfrom taskaware import linen"
    )
    assert {"jax", "flax", "taskaware.modulation"} <= found
    ours = {name.split(".")[1] for name in found if name.startswith("taskaware.")}
    assert ours == {"modulation", "nn", "errors"}
    assert not found & {"tensorflow", "torch", "tensorflow_datasets", "grain", "sentencepiece"}


@pytest.mark.parametrize("room", sorted(set(ROOMS) - {"commands", "data/toy"}))
def test_every_public_name_of_a_room_is_there_and_known_to_type_checkers(room):
    module = importlib.import_module(".".join(["taskaware", *filter(None, room.split("/"))]))
    assert module.__all__
    homes = [getattr(module, name) for name in module.__all__]
    assert len(homes) == len(set(module.__all__))
    if room in STUBS:
        stub = ast.parse(STUBS[room].read_text())
        typed = [a.asname for n in stub.body if isinstance(n, ast.ImportFrom) for a in n.names]
        assert sorted(typed) == sorted(module.__all__)


def test_the_names_that_users_import_stand_at_the_top():
    wanted = "Run train restore evaluate from_pretrained load_whisper film graft Experiment linen"
    assert set(wanted.split()) <= set(taskaware.__all__)


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="flim"):
        taskaware.flim  # noqa: B018


# Size.


@pytest.mark.parametrize("name", [*SOURCES, *TESTS])
def test_a_file_has_at_most_400_lines(name):
    assert len((SOURCES | TESTS)[name].read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("name", SOURCES)
def test_a_function_has_at_most_80_lines(name):
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 80, node.name


def test_no_module_is_a_drawer():
    words = {word for module in MODULES for part in module.split("/") for word in part.split("_")}
    assert not words & {"utils", "util", "helpers", "helper", "common", "misc", "manager", "tools"}
