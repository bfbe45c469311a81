import pytest

from segline.data.sources import without_secrets


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://ann:secret@example.org/mirror/?signature=1#part", "https://example.org/mirror"),
        ("s3://key:secret@bucket/folder", "s3://bucket/folder"),
        ("postgresql://ann:secret@127.0.0.1:5432/mlflow", "postgresql://127.0.0.1:5432/mlflow"),
        ("sqlite:////folder/mlflow.db", "sqlite:////folder/mlflow.db"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("folder/mirror/", "folder/mirror"),
        ("/", "/"),
    ],
)
def test_an_address_is_shown_whole_but_for_its_secrets(address, shown):
    assert without_secrets(address) == shown
