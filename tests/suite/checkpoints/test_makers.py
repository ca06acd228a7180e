"""Whose a file is tells what its network was trained on; a file that would be given other pixels is refused."""

from pathlib import Path

import pytest
import torch

from suite import backbones, checkpoints
from suite.checkpoints import makers
from suite.errors import InputError
from suite.video.inputs import NAMED, Pixels
from tests.suite.checkpoints.made import authors_state, trained

R3D = "torchvision:r3d_18"
PRESET = "--mean 0.43216,0.394666,0.37645 --std 0.22803,0.22145,0.216989 --channels rgb --range 1"


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    """Weights as torchvision publishes them, of an r3d_18 that was never trained."""
    from torchvision.models import video

    return video.r3d_18().state_dict()


def held(tmp_path: Path, content: dict, backbone: str, pixels: Pixels, width: int = 8) -> checkpoints.Imported:
    """What is read of a file with that content, held against pixels."""
    torch.save(content, tmp_path / "weights.pt")
    imported = checkpoints.import_backbone(tmp_path / "weights.pt", backbone, width)
    checkpoints.refuse_other_pixels(tmp_path / "weights.pt", imported, backbone, pixels)
    return imported


def refused(tmp_path: Path, content: dict, backbone: str, pixels: Pixels, width: int = 8) -> str:
    with pytest.raises(InputError) as found:
        held(tmp_path, content, backbone, pixels, width)
    assert "\n" not in str(found.value)
    return str(found.value).removeprefix(f"{tmp_path}/weights.pt: ")


@pytest.mark.parametrize("wrapper", [None, "model"])
def test_torchvisions_files_take_what_its_weights_say(tmp_path, published, wrapper):
    content = published if wrapper is None else {wrapper: published, "epoch": 3}
    own = backbones.video_input(R3D).pixels
    imported = held(tmp_path, content, R3D, own)
    assert imported.layout == "torchvision"
    # The classifier plays no part, and is accounted for.
    assert imported.modules["fc"] == 2
    assert {key: kind for key, kind in imported.unused.items() if key != "epoch"} == {
        "fc.weight": "classifier",
        "fc.bias": "classifier",
    }
    message = refused(tmp_path, content, R3D, NAMED["unit"])
    assert message.startswith(
        "has the layout of torchvision, which trains on 16 frames, every 2nd frame of the video, "
    )
    assert message.endswith(
        f"say what it takes: --frames 16 --stride 2 --resize 128x171 --crop 112 --no-antialias {PRESET}"
    )


def test_torchvisions_s3d_files_account_for_their_classifier(tmp_path):
    from torchvision.models import video

    imported = held(
        tmp_path, video.s3d().state_dict(), "torchvision:s3d", backbones.video_input("torchvision:s3d").pixels
    )
    assert imported.modules == {"classifier": 2}


def test_a_network_of_torchvision_that_others_trained_is_not_given_torchvisions_pixels(tmp_path, published):
    own = backbones.video_input(R3D).pixels
    bare = {key: tensor for key, tensor in published.items() if not key.startswith("fc.")}
    moco = {f"module.encoder_q.{key}": tensor for key, tensor in bare.items()}
    moco |= {"module.queue": torch.rand(4, 8), "module.queue_ptr": torch.zeros(1, dtype=torch.long)}
    message = refused(tmp_path, {"state_dict": moco}, R3D, own)
    assert "has the layout of MoCo and its kin (CoCLR)" in message
    assert message.endswith(
        "say what it takes: --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --channels rgb --range 1"
    )
    held(tmp_path, {"state_dict": moco}, R3D, makers.IMAGENET)
    # Nobody's: nothing says what it was trained on.
    message = refused(tmp_path, {f"backbone.{key}": tensor for key, tensor in bare.items()}, R3D, own)
    assert message.startswith(
        "nothing says what these weights were trained on; say it by --mean, --std, --channels and --range"
    )
    assert PRESET in message


def test_the_authors_files_are_not_given_the_pixels_of_another_paper(tmp_path):
    state = authors_state("r3d", trained("r3d"))
    held(tmp_path, state, "r3d", NAMED["unit"])
    message = refused(tmp_path, state, "r3d", NAMED["bgr-raw"])
    assert (
        "VCOP's authors, which trains on 16 frames, resized to 128x171, centre 112x112, RGB of 0 to 1, and would"
        in message
    )
    assert "be given BGR of 0 to 255; say what it takes: --frames 16 --stride 1" in message


def test_a_file_of_pyslowfast_is_told_by_its_wrapper_and_ours_takes_any(tmp_path):
    state = trained("r3d").state_dict()
    assert "PySlowFast" in refused(tmp_path, {"model_state": state}, "r3d", NAMED["unit"])
    for pixels in NAMED.values():
        held(tmp_path, state, "r3d", pixels)


def test_a_factorys_network_says_what_it_takes_or_is_asked(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "makers_networks.py").write_text(
        "from suite.backbones.r3d import R3D\n"
        "def silent():\n    return R3D(4)\n"
        "def speaking():\n    network = R3D(4)\n    network.video_input = {'pixels': {'channels': 'bgr'}}\n    return network\n"
    )
    state = backbones.build("r3d", 4).state_dict()
    held(tmp_path, state, "makers_networks:speaking", Pixels(channels="bgr"))
    message = refused(tmp_path, state, "makers_networks:silent", NAMED["unit"])
    assert message == "nothing says what these weights were trained on; say it by --mean, --std, --channels and --range"
