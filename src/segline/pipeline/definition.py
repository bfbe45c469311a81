"""Load the definition of a dataset of this project."""

from segline import config, datasets
from segline.datasets.base import Dataset
from segline.project import Project


def load_definition(project: Project, params: config.Params, name: str | None = None) -> Dataset:
    """Load the definition of `name`, for the task and split that ``params.yaml`` asks for.

    Args:
        name: default: what ``params.yaml`` trains on.

    Raises:
        ConfigError: its options ask for a task or a split that it has not.
        DataError: the class table of the user's own data is missing or wrong.
    """
    chosen = name or params.dataset
    return datasets.load(chosen, params.options.get(chosen), raw=project.raw(chosen))
