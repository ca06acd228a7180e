"""What the words of options may be, and the options that commands share."""

import inspect
from dataclasses import fields
from typing import Annotated

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from harness import options
from harness.errors import UsageError
from harness.options import Given
from harness.plan import Request


@pytest.mark.parametrize(
    ("words", "keys", "value"),
    [
        ("video.crop=56", ("video", "crop"), 56),
        ("video.crop = 56", ("video", "crop"), 56),
        (
            "pretraining.vcop.optimisation.learning_rate=1e-3",
            ("pretraining", "vcop", "optimisation", "learning_rate"),
            1e-3,
        ),
        ("video.pixels=rgb-mean", ("video", "pixels"), "rgb-mean"),
        ('video.pixels="rgb-mean"', ("video", "pixels"), "rgb-mean"),
        ("video.store=false", ("video", "store"), False),
        ("video.pixels={mean = [1.0]}", ("video", "pixels"), {"mean": [1.0]}),
        ("video.resize=[128, 171]", ("video", "resize"), [128, 171]),
        ('pretraining."a.b".start=vcop', ("pretraining", "a.b", "start"), "vcop"),
    ],
)
def test_a_setting_is_what_a_recipe_would_say(words, keys, value):
    found = options.setting(words)
    assert found == (keys, value)
    assert type(found.value) is type(value)


@pytest.mark.parametrize(
    "words",
    [
        *("", "=", "video.crop", "video.crop=", "=56", "video..crop=56", "video crop=56", "video.crop=5 6"),
        # Nothing else comes in with a value or a key.
        *(
            "video.crop=56\nwidth=8",
            "width=8\nvideo.crop=56",
            "a=1\nb",
            "x=1979-05-27",
            "x=[1979-05-27]",
        ),
        *("x=nan nan", "x='a", "x=[1, 2", "[x]=1", "x=" + "1" * 5000),
    ],
    ids=repr,
)
def test_what_is_no_setting_is_refused(words):
    with pytest.raises(
        UsageError, match=r"(?s)^--set .*: give a key of the recipe and a value, such as video\.crop=56$"
    ):
        options.setting(words)


@given(st.text(max_size=30))
def test_any_words_are_a_setting_or_refused(words):
    try:
        found = options.setting(words)
    except UsageError:
        return
    assert found.keys
    assert all(isinstance(key, str) for key in found.keys)
    assert isinstance(found.value, bool | int | float | str | list | dict)


def test_a_setting_is_said_once():
    one = options.setting("video.crop=56")
    assert options.settings([one, options.setting("video.store=true")])[0] is one
    with pytest.raises(UsageError, match=r"--set video\.crop: said twice"):
        options.settings([one, options.setting("video.crop=64")])


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
