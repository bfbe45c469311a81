"""The training flow: tasks in the place of the pipeline's steps, and nothing else."""

import logging

from prefect import Flow, Task

from flows import data, reporting, training
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


def test_a_lost_server_is_told_once(capfd):
    """Before, two records for each event that could not be sent: forty lines in two minutes."""
    note = reporting._LossNote()
    texts = ["Unable to connect to 'ws://127.0.0.1:1/api/events/in'. Reason: x", "Service 'EventsWorker' failed: x"]
    for name, text in zip(reporting._EVENT_LOGGERS, texts * 2, strict=False):
        assert not note.filter(logging.LogRecord(name, logging.WARNING, "", 0, text, None, None))
    assert note.filter(logging.LogRecord(name, logging.WARNING, "", 0, "Service 'Other' failed", None, None))
    assert capfd.readouterr().err.count("the Prefect server does not answer") == 1
