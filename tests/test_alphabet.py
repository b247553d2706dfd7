"""The alphabet: x_BSD, "B S D" and einsum("BSD,...") must say the same."""

import ast
import re

import pytest
from support.sources import SOURCES, TREES

from taskaware import dims

ALPHABET = set(re.findall(r"^([A-Z])   ", dims.__doc__ or "", re.MULTILINE))


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
    assert ALPHABET == set("BACSTDHKFVZWXNLPMRG")


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
