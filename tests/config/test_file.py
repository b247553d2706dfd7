import pytest

from taskaware.config.file import load_experiment, recipes
from taskaware.errors import UsageError

SEVERAL = """
from dataclasses import replace
from taskaware.config import Experiment, Task

task = Task(name='mt', source='text', target='translation', metric='bleu')
experiments = {n: Experiment(tasks=(task,), tokenizer=n) for n in ('st', 'mt', 'en.de')}
"""


@pytest.fixture
def several(tmp_path):
    (tmp_path / "row.py").write_text(SEVERAL)
    return tmp_path / "row.py"


@pytest.mark.parametrize("name", ["st", "mt", "en.de"])
def test_one_of_several_experiments_is_named_after_a_colon(several, name):
    assert load_experiment(several.with_name(f"row.py:{name}")).tokenizer == name


def test_of_several_experiments_one_must_be_named(several):
    with pytest.raises(UsageError) as raised:
        load_experiment(several)
    assert str(raised.value) == (
        f"{several}: it defines several experiments; expected {several}:st or {several}:mt or "
        f"{several}:en.de, found none named"
    )
    with pytest.raises(UsageError, match=r"found .*row.py:stt; did you mean 'st'\?"):
        load_experiment(several.with_name("row.py:stt"))


def test_a_name_is_refused_where_there_is_one_experiment(several):
    several.write_text(SEVERAL + "experiment = experiments.pop('st')\nexperiments = {}\n")
    assert load_experiment(several).tokenizer == "st"
    with pytest.raises(UsageError, match="expected it to define experiment"):
        load_experiment(several.with_name("row.py:st"))


def test_recipes_are_what_a_file_or_the_base_beside_it_says(several):
    assert recipes(several) == {}
    several.with_name("base.py").write_text("data = {'d': 'make {corpora}/x --out {out}'}")
    assert recipes(several) == {"d": "make CORPORA/x --out d"}
    assert recipes(several.with_name("row.py:st")) == recipes(several)
    assert recipes(several.with_suffix(".json")) == {}
    several.write_text("data = {'e': 'make {out}'}")
    assert recipes(several) == {"e": "make e"}
