import jax
import pytest
from flax import nnx
from support.train_toy import MODEL, TASKS, TOKENS, V

from taskaware.config import ModelConfig
from taskaware.models.building import abstract, build


@pytest.mark.parametrize("speech", [True, False])
@pytest.mark.parametrize("conditioning", ["vanilla", "explicit", "implicit", "tokens"])
def test_an_abstract_model_has_the_structure_and_shapes_of_a_built_one(conditioning, speech):
    config = ModelConfig(**{**vars(MODEL), "conditioning": conditioning})
    settings = {"speech": speech, "task_tokens": TOKENS}
    shapes = abstract(config, V, TASKS, **settings)
    numbers = build(config, V, TASKS, **settings, seed=4)
    assert nnx.graphdef(shapes) == nnx.graphdef(numbers)
    found, expected = (jax.tree.leaves(nnx.state(model)) for model in (shapes, numbers))
    assert [(leaf.shape, leaf.dtype) for leaf in found] == [
        (leaf.shape, leaf.dtype) for leaf in expected
    ]
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in found)


def test_what_is_done_to_one_abstract_model_is_not_done_to_the_next():
    first = abstract(MODEL, V, TASKS, speech=True)
    del first.speech
    first.embedding.table_VD.set_raw_value(jax.ShapeDtypeStruct((1, 1), "int32"))
    second = abstract(MODEL, V, TASKS, speech=True)
    assert second.speech is not None
    assert second.embedding.table_VD.get_raw_value().shape == (V, 16)
