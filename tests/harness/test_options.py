"""The options that commands share: one option a field, where the command says, and nothing else of the command moves."""

import inspect
from dataclasses import fields
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from harness import options
from harness.errors import UsageError
from harness.options import Given
from harness.plan import Request


def made(command) -> typer.Typer:
    app = typer.Typer()
    app.command()(command)
    return app


def options_of(command) -> list[str]:
    return list(inspect.signature(command).parameters)


def test_fields_stand_where_the_parameter_stood():
    left_out = ("workers", "records", "glove")

    @options.shared(without=left_out)
    def command(paper: str, given: Given, last: int = 3) -> None:
        """Nothing."""

    shown = [field.name for field in fields(Given) if field.name not in left_out]
    assert {"scale", "seeds", "runs"} < set(shown)
    assert options_of(command) == ["paper", *shown, "last"]


def test_what_is_given_arrives_and_the_rest_keeps_its_default(tmp_path):
    arrived = []

    @options.shared(without=("tables", "everything"), scale="paper", everything=True)
    def command(what: Annotated[str, typer.Argument()], *, given: Given) -> None:
        arrived.append((what, given))

    words = ["all", "--seeds", "3", "--datasets", "a,b", "--datasets", "c", "--runs", str(tmp_path)]
    assert CliRunner().invoke(made(command), words, catch_exceptions=False).exit_code == 0
    expected = Given(scale="paper", everything=True, seeds=3, datasets=["a", "b", "c"], runs=tmp_path)
    assert arrived == [("all", expected)]
    assert expected.request("cuda") == Request(seeds=3, datasets=("a", "b", "c"), device_kind="cuda", everything=True)


def test_an_option_that_a_command_has_not_is_refused():
    @options.shared(without=("tables",))
    def command(given: Given) -> None:
        raise AssertionError("it ran")

    done = CliRunner().invoke(made(command), ["--tables", "table2"])
    assert done.exit_code == 2
    assert "--tables" in done.output


def test_a_shared_option_is_parsed_as_on_every_command():
    @options.shared(without=())
    def command(given: Given) -> None:
        raise AssertionError("it ran")

    with pytest.raises(UsageError, match="--seeds 0: give a whole number from 1 to 100"):
        CliRunner().invoke(made(command), ["--seeds", "0"], catch_exceptions=False)
