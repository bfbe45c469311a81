"""Load the definition of a dataset of this project."""

from segline import config, datasets
from segline.datasets.base import Dataset
from segline.datasets.own.stale import refuse_stale
from segline.project import Project


def load_definition(
    project: Project | None, params: config.Params | None, name: str | None = None, *, task: str | None = None
) -> Dataset:
    """Load the definition of `name`, for the task and split that ``params.yaml`` asks for.

    Args:
        project: None outside a project; `params` is then None, too, and the published definition is returned.
        name: dataset to load; default: ``dataset`` of ``params.yaml``.
        task: one of the dataset's tasks, instead of that of ``params.yaml``.

    Raises:
        ConfigError: the options name a task or a split that the dataset does not have.
        DataError: the class table of the user's own data is missing or wrong, or was changed since it was copied.
    """
    if params is None:
        assert name is not None
        chosen, options = name, config.Options()
    else:
        chosen = name or params.dataset
        options = params.options.get(chosen) or config.Options()
    raw = project.raw(chosen) if project else None
    if task is not None:
        plain = datasets.load(chosen, options.model_copy(update={"task": None}), raw=raw)
        config.refuse_unknown("--task", task, [plain.task, *plain.tasks])
        options = options.model_copy(update={"task": task})
    definition = datasets.load(chosen, options, raw=raw)
    if project is not None and raw is not None:
        refuse_stale(definition, encoding=options.encoding, root=project.root, raw=raw)
    return definition
