"""What the words of options may be: settings that are asked for otherwise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import parsing
from harness.errors import UsageError


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
    found = parsing.setting(words)
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
        parsing.setting(words)


@given(st.text(max_size=30))
def test_any_words_are_a_setting_or_refused(words):
    try:
        found = parsing.setting(words)
    except UsageError:
        return
    assert found.keys
    assert all(isinstance(key, str) for key in found.keys)
    assert isinstance(found.value, bool | int | float | str | list | dict)


def test_a_setting_is_said_once():
    one = parsing.setting("video.crop=56")
    assert parsing.settings([one, parsing.setting("video.store=true")])[0] is one
    with pytest.raises(UsageError, match=r"--set video\.crop: said twice"):
        parsing.settings([one, parsing.setting("video.crop=64")])


@pytest.mark.parametrize("words", [["golf,kiss"], ["kiss,golf"], ["kiss", "golf", "golf"]], ids=str)
def test_classes_are_one_selection_in_whatever_order_they_are_said(words):
    class Option:
        name = "classes"

    assert parsing.classes(Option(), words) == ["golf", "kiss"]
    assert parsing.classes(Option(), None) is None
