"""Answers to words that are not commands."""

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from segline.cli import app, application

ANSWERS = {
    "fit": "Did you mean 'segline train'?",
    "validate": "Did you mean 'segline data validate'?",
    "trian": "Did you mean 'segline train'?",
    "tran": "Did you mean 'segline train'?",
    "Train": "Did you mean 'segline train'?",
    "model": "Did you mean 'segline models'?",
    "modles list": "Did you mean 'segline models'?",
    "versoin": "Did you mean 'segline --version'?",
    "data get": "Did you mean 'segline data download'?",
    "data downlaod": "Did you mean 'segline data download'?",
    "data fetch kitti": "Did you mean 'segline data download'?",
    "data fech kitti": "Did you mean 'segline data download'?",
    "data lok kitti": "Did you mean 'segline data look'?",
    "models ls": "Did you mean 'segline models list'?",
    "promote": "'segline models promote' is not available yet.",
    "models promote": "'segline models promote' is not available yet.",
    "models promot": "'segline models promote' is not available yet.",
    "rollback": "'segline models rollback' is not available yet.",
    "lineage": "'segline models lineage' is not available yet.",
    "history": "'segline models history' is not available yet.",
    "export": "'segline export' is not available yet.",
    "serve --model m": "'segline serve' is not available yet.",
    "explain": "'segline explain' is not available yet.",
    "classify": "'segline classify' is not available yet.",
    "explian": "'segline explain' is not available yet.",
}
UNKNOWN = ("fly", "clean", "demote", "report", "models demote", "data predict")


def run(*arguments):
    """Return the exit code and all that is said, without frames and line ends."""
    answer = CliRunner().invoke(app, list(arguments), prog_name="segline")
    return answer.exit_code, " ".join(answer.output.replace("│", " ").split())


@pytest.mark.parametrize("line", ANSWERS)
def test_a_word_that_is_no_command_is_answered(line):
    code, said = run(*line.split())
    assert code == 2
    assert ANSWERS[line] in said
    assert said.count("Did you mean") + said.count("not available yet") == 1


@pytest.mark.parametrize("line", UNKNOWN)
def test_a_word_that_is_near_to_none_gets_no_suggestion(line):
    code, said = run(*line.split())
    assert code == 2
    assert f"No such command '{line.split()[-1]}'." in said
    assert "Did you mean" not in said
    assert "not available yet" not in said


def test_what_is_meant_exists_and_no_command_is_taken_for_another():
    root = get_command(app)
    for name, words in application._SUGGESTED_COMMANDS.items():
        known = (root if name == "segline" else root.commands[name]).commands
        assert not words.keys() & known.keys()
        for meant in words.values():
            tool, command, *rest = meant.split()
            if tool == "segline" and not command.startswith("--"):
                assert not rest or rest[0] in root.commands[command].commands
                assert command in root.commands


def test_no_command_that_exists_is_called_planned():
    root = get_command(app)
    for name, words in application._PLANNED.items():
        known = (root if name == "segline" else root.commands[name]).commands
        assert not words.keys() & known.keys()


def test_the_version_has_a_short_option():
    assert run("-V") == run("--version")
    assert run("-V")[1].startswith("segline ")


def test_a_near_miss_of_an_option_is_answered_as_one():
    assert "No such option" in run("--versoin")[1]
    assert "--dataset" in run("train", "--datset", "kitti")[1]
