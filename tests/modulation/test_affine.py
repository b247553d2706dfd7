import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from reference import equations
from support.arrays import normal

from taskaware import FiLM, Modulation, Modulator, TCNParam, film, modulate
from taskaware.modulation.modulator import vector_init

KEY = jax.random.key(0)


def test_film_equals_equation_7_position_by_position():
    x, gamma, beta = normal(3, 4, 5), normal(3, 5), normal(3, 5)
    found = film(x, gamma, beta)
    for row in range(3):
        expected = equations.film(np.asarray(x[row]), np.asarray(gamma[row]), np.asarray(beta[row]))
        np.testing.assert_allclose(found[row], expected, rtol=1e-5, atol=1e-6)


def test_gamma_one_and_beta_zero_give_the_input_back_bit_for_bit():
    x = normal(3, 4, 5)
    found = film(x, jnp.ones((3, 5)), jnp.zeros((3, 5)))
    assert np.array_equal(np.asarray(found).view(np.int32), np.asarray(x).view(np.int32))


@pytest.mark.parametrize("shape", [(2, 5), (2, 3, 5), (2, 3, 4, 5)])
def test_film_takes_any_number_of_axes_between_row_and_feature(shape):
    x, gamma, beta = normal(*shape), normal(2, 5), normal(2, 5)
    flat = np.asarray(x).reshape(2, -1, 5)
    expected = np.asarray(gamma)[:, None] * flat + np.asarray(beta)[:, None]
    found = film(x, gamma, beta).reshape(flat.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)  # γ · x and β may cancel


def test_film_keeps_the_dtype_of_what_it_modulates():
    x = normal(2, 3, 5).astype(jnp.bfloat16)
    assert film(x, jnp.ones((2, 5)), jnp.zeros((2, 5))).dtype == jnp.bfloat16


def test_no_modulation_is_no_change():
    x = normal(2, 3, 5)
    assert modulate(x, None) is x


def test_a_row_is_modulated_by_its_own_gamma_and_beta_alone():
    x, gamma, beta = normal(3, 4, 5), normal(3, 5), normal(3, 5)
    other = film(x, gamma.at[1].add(1.0), beta)
    changed = np.abs(np.asarray(other - film(x, gamma, beta))).max((1, 2)) > 0
    assert changed.tolist() == [False, True, False]


def test_places_split_the_embedding_into_gamma_and_beta_everywhere_alike():
    modulator = Modulator(5, {"encoder": 2, "decoder": 3}, scale="direct")
    embedding = normal(4, 10)
    found = modulator(embedding)
    assert found.gamma_BD.shape == (5, 4, 5)
    for place in range(5):
        np.testing.assert_array_equal(found.at(place).gamma_BD, embedding[:, :5])
        np.testing.assert_array_equal(found.at(place).beta_BD, embedding[:, 5:])


def test_one_plus_shifts_gamma_by_one_and_leaves_beta():
    embedding = normal(4, 10)
    direct, one_plus = (
        Modulator(5, {"encoder": 1, "decoder": 1}, scale=s)(embedding)
        for s in ("direct", "one_plus")
    )
    np.testing.assert_array_equal(one_plus.gamma_BD, 1 + direct.gamma_BD)
    np.testing.assert_array_equal(one_plus.beta_BD, direct.beta_BD)


def test_per_stack_gives_the_decoder_the_second_half_of_the_embedding():
    modulator = Modulator(5, {"encoder": 2, "decoder": 3}, scale="direct", sharing="per_stack")
    embedding = normal(4, modulator.vector_width)
    found = modulator(embedding)
    assert modulator.vector_width == 20
    np.testing.assert_array_equal(found.gamma_BD[1], embedding[:, :5])
    np.testing.assert_array_equal(found.gamma_BD[2], embedding[:, 10:15])
    np.testing.assert_array_equal(found.beta_BD[4], embedding[:, 15:])


def test_each_of_several_stacks_has_its_own_gamma_and_beta():
    stacks = {"encoder": 2, "speech decoder": 1, "text decoder": 3}
    modulator = Modulator(5, stacks, scale="direct", sharing="per_stack")
    embedding = normal(4, modulator.vector_width)
    found = modulator(embedding)
    assert modulator.vector_width == 30 and modulator.num_sites == 6
    for number, (name, sites) in enumerate(stacks.items()):
        gamma_LBD, beta_LBD = found.at(modulator.sites(name))
        assert len(gamma_LBD) == sites
        for gamma_BD, beta_BD in zip(gamma_LBD, beta_LBD, strict=True):
            own = embedding[:, 10 * number : 10 * number + 10]
            np.testing.assert_array_equal(gamma_BD, own[:, :5])
            np.testing.assert_array_equal(beta_BD, own[:, 5:])


def test_per_block_offsets_start_at_nothing_and_add_to_their_place_alone():
    modulator = Modulator(5, {"encoder": 2, "decoder": 3}, sharing="per_block_offset")
    embedding = normal(4, 10)
    shared = Modulator(5, {"encoder": 2, "decoder": 3})(embedding)
    np.testing.assert_array_equal(modulator(embedding).gamma_BD, shared.gamma_BD)
    modulator.offset_LZ[...] = modulator.offset_LZ[...].at[3, 0].set(2.0)
    difference = np.asarray(modulator(embedding).gamma_BD - shared.gamma_BD)
    expected = np.zeros((5, 4, 5))
    expected[3, :, 0] = 2.0
    np.testing.assert_allclose(difference, expected, atol=1e-6)
    assert isinstance(modulator.offset_LZ, TCNParam)


@pytest.mark.parametrize(
    ("init", "gamma_is_random", "beta_is_random"),
    [("zero", False, False), ("task_distinct", False, True), ("lecun", True, True)],
)
def test_initial_embeddings_are_random_where_they_should_be(init, gamma_is_random, beta_is_random):
    kernel = np.asarray(vector_init(50, init, 0.3)(KEY, (40, 200)))
    for block in (kernel[:, :100], kernel[:, 100:]):  # two stacks
        for half, is_random in ((block[:, :50], gamma_is_random), (block[:, 50:], beta_is_random)):
            assert half.std() == pytest.approx(0.3 if is_random else 0.0, rel=0.1)


def test_a_film_layer_starts_as_the_identity_and_learns():
    layer = FiLM(3, 8, rngs=nnx.Rngs(0))
    x, condition = normal(2, 5, 8), jax.nn.one_hot(jnp.array([0, 2]), 3)
    assert (layer(x, condition) == x).all()
    gradient = nnx.grad(lambda m: (m(x, condition) ** 2).sum())(layer)
    # d/dγ of (γ x)² at γ = 1 is 2 x²; a condition of zero teaches nothing.
    kernel = np.asarray(gradient["kernel_ZD"][...])
    exact = np.asarray(x, np.float64)
    np.testing.assert_allclose(kernel[0, :8], 2 * (exact[0] ** 2).sum(0), rtol=1e-5)
    np.testing.assert_allclose(kernel[2, 8:], 2 * exact[1].sum(0), rtol=1e-5, atol=1e-5)
    assert (kernel[1] == 0).all()


def test_modulations_are_pytrees_that_vmap_over_tasks():
    x, tasks = normal(2, 3, 5), Modulation(normal(4, 2, 5), normal(4, 2, 5))
    found = jax.vmap(lambda m: modulate(x, m))(tasks)
    for task in range(4):
        expected = modulate(x, tasks.at(task))
        np.testing.assert_allclose(found[task], expected, rtol=1e-6, atol=1e-6)
