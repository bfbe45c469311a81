import pytest
from brightness import brightness_bundle, thirds


@pytest.fixture(scope="session")
def bundle():
    return brightness_bundle()


@pytest.fixture(scope="session")
def stripes():
    return thirds
