from pathlib import Path

import pytest

from ..runs import write_images


@pytest.fixture(scope='session')
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 16 pictures."""
    return write_images(tmp_path_factory.mktemp('images'), 16)
