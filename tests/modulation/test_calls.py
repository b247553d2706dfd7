"""A bound call that goes round a site says so, and no other does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from taskaware import Modulation, bind, film, graft, ungraft
from taskaware.errors import UsageError

B, T, D = 2, 3, 4
X = jax.random.normal(jax.random.key(0), (B, T, D))
OWN = Modulation(jnp.full((B, D), 2.0), jnp.ones((B, D)))


class Layer(nnx.Module):
    """A site that can be used in all ways."""

    def __init__(self):
        self.kernel = nnx.Param(jnp.eye(D))
        self.width = D

    def __call__(self, x):
        return x @ self.kernel[...]

    def encode(self, x):
        return self(x) if x.ndim < 3 else x @ self.kernel[...]

    @nnx.jit
    def compiled(self, x):
        return x @ self.kernel[...]


class Net(nnx.Module):
    """A model that uses its layer as it is told."""

    def __init__(self, use, layer=Layer):
        self.l, self.use = layer(), use

    def __call__(self, x, **options):
        return self.use(self, x, **options)


class Compiled(Net):
    @nnx.jit
    def __call__(self, x):
        return self.use(self, x)


def _closed_over(net, x):
    return jax.lax.cond(x[0, 0, 0] < 9, lambda x: x @ net.l.kernel[...], lambda x: x, x)


ROUND = {
    "its weights": (lambda net, x: x @ net.l.kernel[...], "kernel"),
    "another method": (lambda net, x: net.l.encode(x), "encode"),
    "a method that is compiled": (lambda net, x: net.l.compiled(x), "compiled"),
    "a call by the class's name": (lambda net, x: Layer.__call__(net.l, x), "kernel"),
    "a branch of lax.cond": (_closed_over, "kernel"),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("way", ROUND)
def test_a_call_that_goes_round_a_site_says_so(way, compiled):
    use, name = ROUND[way]

    class Fresh(Layer):
        """Of which no test before has called a site: compiled code is told apart by the class."""

    model = graft(Net(use, Fresh), where="l")
    np.testing.assert_array_equal(model(X), Net(use, Fresh)(X))  # unbound: as it was
    call = nnx.jit(lambda model, x: model(x)) if compiled else lambda model, x: model(x)
    with pytest.raises(UsageError, match=rf"'l' was not called.*Net took its '{name}'") as told:
        call(bind(model, OWN), X)
    assert "\n" not in str(told.value)


def copy_of(layer):
    """A class of its own: that of sites inside a transform is known, and no site itself."""
    return type("Copied", (layer,), {})


@nnx.remat
def _in_remat(layer, x):
    return x @ layer.kernel[...]


@pytest.mark.parametrize(
    ("kind", "use"),
    [
        (Net, lambda net, x: _in_remat(net.l, x)),
        (Net, lambda net, x: nnx.jit(lambda layer, x: layer.encode(x))(net.l, x)),
        (Net, lambda net, x: jax.checkpoint(lambda layer, x: x @ layer.kernel[...])(net.l, x)),
        (Compiled, lambda net, x: x @ net.l.kernel[...]),
    ],
)
def test_going_round_inside_a_transform_is_told_too(kind, use):
    bound = bind(graft(kind(use, copy_of(Layer)), where="l"), OWN)
    with pytest.raises(UsageError, match="'l' was not called"):
        bound(X)


def test_a_stack_of_layers_that_goes_round_a_site_says_so():
    class Block(nnx.Module):
        def __init__(self):
            self.l = copy_of(Layer)()

        def __call__(self, x):
            return x @ self.l.kernel[...]

    def use(net, x):
        scan = nnx.scan(lambda block, x: block(x), in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
        return scan(net.l, x)

    net = Net(use, lambda: nnx.vmap(lambda _: Block())(jnp.arange(3)))
    with pytest.raises(UsageError, match="'l/l' was not called"):
        bind(graft(net, where="l/l", stacked="l"), OWN)(X)


kept = nnx.jit(lambda layer, x: layer(x))


@nnx.jit
def _loop(layer, x):
    return nnx.scan(lambda x, layer: layer(x), in_axes=(nnx.Carry, None), out_axes=nnx.Carry)(
        x, layer, length=2
    )


class Cell(Layer):
    def initial(self, x):
        return jnp.zeros_like(x)


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (lambda net, x: net.l(x), film(X, *OWN)),
        (lambda net, x: net.l(net.l(x)), film(film(X, *OWN), *OWN)),
        (lambda net, x: x, X),  # a site of training only, in evaluation
        (lambda net, x: x * net.l.width, D * X),
        (lambda net, x: net.l(x) @ net.l.kernel[...], film(X, *OWN)),  # a tied embedding
        (lambda net, x: kept(net.l, x) @ net.l.kernel[...], film(X, *OWN)),
        (lambda net, x: _in_remat(net.l, kept(net.l, x)), film(X, *OWN)),
        (lambda net, x: kept(net.l, net.l.initial(x)), film(0 * X, *OWN)),
        (
            lambda net, x: nnx.cond(True, lambda one, x: one(x), lambda one, x: x, net.l, x),
            film(X, *OWN),
        ),
        (
            lambda net, x: jax.lax.cond(x[0, 0, 0] < 9, lambda x: net.l(x), lambda x: x, x),
            film(X, *OWN),
        ),
        (lambda net, x: nnx.remat(lambda layer, x: layer(x))(net.l, x), film(X, *OWN)),
        (lambda net, x: nnx.merge(*nnx.split(net.l))(x), film(X, *OWN)),
    ],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_no_other_call_is_told(use, expected, compiled):
    model = graft(Net(use, Cell), where="l")
    call = nnx.jit(lambda model, x: model(x)) if compiled else lambda model, x: model(x)
    for _ in range(3):  # with code that transforms have kept, too
        np.testing.assert_allclose(call(bind(model, OWN), X), expected)
    np.testing.assert_allclose(model(X), Net(use, Cell)(X))


def test_a_site_that_only_one_mode_uses_is_told_of_in_neither():
    def use(net, x, training):
        return net.l(x) if training else x

    bound = bind(graft(Net(use), where="l"), OWN)
    np.testing.assert_array_equal(bound(X, training=False), X)
    np.testing.assert_array_equal(bound(X, training=True), film(X, *OWN))


def test_a_site_may_be_used_from_outside_of_a_call():
    bound = bind(graft(Net(lambda net, x: x), where="l"), OWN)
    np.testing.assert_array_equal(bound.l.encode(X), X)
    np.testing.assert_array_equal(bound.l(X), film(X, *OWN))
    with pytest.raises(ZeroDivisionError):
        bind(graft(Net(lambda net, x: net.l.kernel[...] / 0 if 1 / 0 else x), "l"), OWN)(X)
    np.testing.assert_array_equal(bound(X), X)  # nothing is left of the call that failed


def test_a_grafted_model_inside_a_bound_one_is_its_own_affair():
    """A teacher, say, that is not bound while its pupil is."""
    teacher = graft(Net(lambda net, x: x @ net.l.kernel[...]), where="l")
    pupil = Net(lambda net, x: net.l(x))
    pupil.teacher = teacher
    np.testing.assert_array_equal(bind(graft(pupil, where="l"), OWN)(X), film(X, *OWN))


def test_watching_a_call_compiles_nothing_again():
    traced = []

    class Counted(Layer):
        def __call__(self, x):
            traced.append(1)
            return super().__call__(x)

    model = graft(Net(lambda net, x: net.l(x), Counted), where="l")
    call = nnx.jit(lambda model, own, x: bind(model, own)(x))
    for n in range(4):
        call(model, Modulation(n * OWN.gamma_BD, OWN.beta_BD), X)
    assert len(traced) == 1


def test_a_bound_model_that_is_no_site_keeps_its_type_and_gets_its_class_back():
    net = Net(lambda net, x: net.l(x))
    bound = bind(bind(graft(net, where="l"), OWN), OWN)
    assert nnx.graphdef(bound) == nnx.graphdef(bind(graft(net, where="l"), OWN))
    assert isinstance(bound, Net) and bound.__class__.__name__ == "Net"
    assert nnx.graphdef(ungraft(bound)) == nnx.graphdef(net)


# Classes that do something with their subclasses.


class Named(nnx.Module):
    def __init_subclass__(cls, *, name, **options):
        super().__init_subclass__(**options)
        cls.title = name


class NamedLayer(Named, Layer, name="mine"):
    pass


class Registry:
    classes: dict = {}  # noqa: RUF012

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        Registry.classes[cls.__name__] = cls


class Before(Registry, Layer):
    pass


class Behind(Layer, Registry):
    pass


class Meta(type(nnx.Module)):
    def __init__(cls, *arguments, **options):
        super().__init__(*arguments, **options)
        Registry.classes[cls.__name__] = cls


class ByMeta(Layer, metaclass=Meta):
    pass


@pytest.mark.parametrize("layer", [NamedLayer, Before, Behind, ByMeta])
def test_what_a_class_does_with_its_subclasses_is_not_done_with_a_graft(layer):
    before = dict(Registry.classes)
    bound = bind(graft(Net(lambda net, x: net.l(x), layer), where="(l)?"), {"": OWN, "l": OWN})
    assert isinstance(bound.l, layer) and isinstance(type(bound.l), type(layer))
    np.testing.assert_allclose(bound(X), film(film(X, *OWN), *OWN))
    np.testing.assert_allclose(jax.jit(lambda m, x: m(x))(bound, X), bound(X))
    assert Registry.classes == before
    if layer is not NamedLayer:
        assert Registry.classes[layer.__name__] is layer
