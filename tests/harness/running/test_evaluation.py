"""What `evaluate` refuses before anything runs: files that were trained on other pixels than they would be given."""

import pytest
import torch

from harness.errors import UsageError
from harness.plan import Setting
from harness.running import door, evaluation
from tests.harness.test_bad_inputs import called
from tests.suite.checkpoints.made import authors_state, trained


@pytest.fixture
def authors(tmp_path):
    """A file as VCOP's authors release them, of the width of the tiny scale."""
    path = tmp_path / "vcop.pt"
    torch.save(authors_state("r3d", trained("r3d", 16)), path)
    return path


def test_a_file_is_not_given_the_pixels_of_another_paper(tmp_path, authors):
    # Scenes are probed with the recipe of mas, whose networks see red, green and blue less their means.
    words = f"evaluate --backbone r3d --checkpoint {authors} --protocol yupenn --scale tiny --device cpu --runs $T/new"
    code, out, err = called(words, tmp_path)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == (
        f"error: {authors}: has the layout of VCOP's authors, which trains on 16 frames, resized to 128x171, centre 112x112, "
        "RGB of 0 to 1, and would be given RGB of 0 to 255, mean 102 98 90; say what it takes: --frames 16 --stride 1 "
        "--resize 128x171 --crop 112 --antialias --mean 0,0,0 --std 1,1,1 --channels rgb --range 1"
    )
    assert not list((tmp_path / "new").glob("*/*"))


@pytest.mark.parametrize(
    ("changes", "stated", "taken"),
    [
        ((), {}, False),
        ((), {"crop": 24}, False),
        ((), {"pixels": {"range": 1}}, True),
        # Whoever states pixels is taken at their word.
        ((), {"pixels": {"channels": "bgr"}}, True),
        ((Setting(("video", "pixels"), "bgr-raw"),), {}, True),
        ((Setting(("video", "crop"), 24),), {}, False),
    ],
)
def test_pixels_that_somebody_stated_are_taken(authors, changes, stated, taken):
    recipe = door.recipe_for("r3d", "mas", "tiny", changes, stated)
    held = (authors, "r3d", recipe, changes, stated)
    if taken:
        evaluation.refuse_other_weights(*held)
    else:
        with pytest.raises(UsageError, match="VCOP's authors"):
            evaluation.refuse_other_weights(*held)


def test_what_is_stated_wins_over_what_is_set_and_over_what_the_network_says():
    set_otherwise = (Setting(("video", "antialias"), True), Setting(("video", "crop"), 96))
    at_scale = door.recipe_for("torchvision:r3d_18", "vcop", "paper", set_otherwise, {"crop": 64, "stride": 3}).settings
    video = at_scale.video
    assert (video.clip_length, video.resize, video.crop, video.antialias) == (16, (128, 171), 64, True)
    assert video.pixels == door.recipe_for("torchvision:r3d_18", "vcop", "tiny", (), {}).settings.video.pixels
    assert (at_scale.retrieval.stride, at_scale.finetuning.stride, at_scale.probes.stride) == (3, 3, 3)
    # A network of the suite takes what its recipe says.
    assert door.recipe_for("r3d", "vcop", "paper", (), {}).hash() == door.load_recipe("vcop", "paper").hash()


def test_sizes_that_a_network_states_and_tiny_scale_does_not_take_are_said(capsys):
    tiny = door.recipe_for("torchvision:r3d_18", "vcop", "tiny", (), {}).settings.video
    said = capsys.readouterr().err
    assert said.startswith("torchvision:r3d_18: its sizes (--frames 16 ")
    assert said.endswith("are not taken at tiny scale; give these options to have them\n")
    assert (said.count("\n"), "--mean" in said) == (1, False)
    own = door.load_recipe("vcop", "tiny").settings.video
    assert (tiny.clip_length, tiny.crop) == (own.clip_length, own.crop)
    for backbone, scale in (("torchvision:r3d_18", "paper"), ("r3d", "tiny")):
        door.recipe_for(backbone, "vcop", scale, (), {})
        assert capsys.readouterr().err == ""


def test_datasets_are_those_that_a_protocol_can_be_measured_on():
    assert {"ucf101", "hmdb51"} <= set(door.measurable("recognition"))
    assert not {"aslan", "yupenn", "activitynet-qa"} & set(door.measurable("clip-retrieval"))
    assert [door.measurable(name) for name in ("aslan", "video-qa")] == [["aslan"], ["activitynet-qa"]]
    recipe = door.load_recipe("vcop", "tiny")
    for given, measured in ((None, "ucf101"), ("hmdb51", "hmdb51")):
        paper = evaluation.as_paper(None, "r3d", "clip-retrieval", given, (1,), recipe)
        assert {column.dataset for column in paper.figures[0].columns} == {measured}
    with pytest.raises(UsageError, match="--dataset ucf101: yupenn is measured on one of yupenn"):
        evaluation.as_paper(None, "r3d", "yupenn", "ucf101", (1,), recipe)


def test_splits_are_those_that_the_dataset_has():
    recipe = door.load_recipe("vcop", "tiny")
    with pytest.raises(UsageError, match="--splits 1,4: give official split numbers of ucf101: 1, 2, 3"):
        evaluation.as_paper(None, "r3d", "clip-retrieval", "ucf101", (1, 4), recipe)
