"""The training flow: tasks in the place of the pipeline's steps, and nothing else."""

from prefect import Flow, Task

from flows import data, training
from segline.pipeline import train


def test_what_every_task_and_flow_raises_is_masked():
    """Prefect stores an exception's words; `reporting.without_secrets` has its own test."""
    found = [*vars(data).values(), *vars(training).values(), *vars(training._TASKS).values()]
    stored = {each.name: each for each in found if isinstance(each, Flow | Task)}
    assert {"training", "data", "reproduce", "begin", "search", "train", "evaluate", "register"} <= {*stored}
    assert [name for name, each in stored.items() if not hasattr(each.fn, "__wrapped__")] == []


def test_each_step_of_the_pipeline_is_a_task():
    for name, task in vars(training._TASKS).items():
        assert isinstance(task, Task)
        assert task.fn.__wrapped__ is getattr(train.PLAIN, name)
