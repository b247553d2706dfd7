import shutil

import pytest
from support.shared_model import random_model


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder that nobody may change."""
    folder = tmp_path_factory.mktemp("shared")
    random_model(folder).save_pretrained(folder / "model")
    return folder / "model"


@pytest.fixture
def hostile(shared, tmp_path):
    """A copy of it to do harm to."""
    return shutil.copytree(shared, tmp_path / "model")
