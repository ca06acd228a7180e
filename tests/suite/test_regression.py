"""The regression slice on a small generated dataset: what it reads off, and that no processor moves the exact numbers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from harness import golden
from suite import backbones, datasets, recipe, regression
from suite.datasets import synthetic
from suite.errors import InputError
from suite.papers import vcop
from suite.stages import Job, Runtime
from suite.video import decode

ROOT = Path(__file__).parents[2]
SETTINGS = recipe.load("vcop", "tiny").settings


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """Two classes of each generated dataset."""
    found = {}
    for name in regression.DATASETS:
        found[name] = tmp_path_factory.mktemp(name)
        settings = {"height": SETTINGS.synthetic.height, "width": SETTINGS.synthetic.width, "classes": 2}
        synthetic.generate(name, found[name], settings, lambda done, total: None)
    return found


def job(roots, folder, part: str) -> Job:
    config = {"paper": "vcop", "part": part, "seed": 0, "settings": SETTINGS.model_dump(mode="json")}
    return Job("regression", config, {}, roots, folder, Runtime())


def test_a_painted_sample_tells_which_frames_and_crops_were_drawn():
    video = datasets.Video("a.avi", "a.avi", 0, "a")
    span = {"clip_length": 4, "tuple_length": 3, "interval": 2}
    draws = {"crop": 5, "seed": 3, "training": True}
    tuples = vcop.ClipTuples(regression._Painted(9, 12), [video], {"a.avi": 40}, **span, **draws)
    for epoch in range(20):
        presented, target = tuples[epoch, 0]
        order = vcop.orders(3)[target]
        corners = [regression._corner(clip) for clip in presented]
        # Clip i of the tuple starts 6 i frames after the first one.
        assert len({frame - 6 * place for (frame, _, _), place in zip(corners, order, strict=True)}) == 1
        for clip, (frame, top, left) in zip(presented, corners, strict=True):
            assert clip[:, 0, 0, 0].tolist() == [frame, frame + 1, frame + 2, frame + 3]
            assert clip[2, :, 3, 1].tolist() == [top + row for row in range(5)]
            assert clip[1, 4, :, 2].tolist() == [left + column for column in range(5)]


def test_fixed_weights_are_those_of_numpy_and_of_nothing_else():
    draw = np.random.Generator(np.random.PCG64(11))
    torch.manual_seed(1)
    first = regression.fix_weights(backbones.build("r3d", 4), 11).state_dict()
    torch.manual_seed(2)
    second = regression.fix_weights(backbones.build("r3d", 4), 11).state_dict()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name])
        if name.endswith("num_batches_tracked"):
            continue
        uniform = draw.random(tuple(tensor.shape))
        low, high = float(tensor.min()), float(tensor.max())
        if "conv" in name.rsplit(".", 2)[-2]:
            bound = np.sqrt(6 / np.prod(tensor.shape[1:]))
            np.testing.assert_array_equal(tensor.numpy(), ((2 * uniform - 1) * bound).astype(np.float32))
        elif name.endswith((".weight", "running_var")):
            assert 0.5 <= low < high <= 1.5
        else:
            assert -0.2 <= low < high <= 0.2


def test_the_data_part_says_what_the_files_say(roots, tmp_path):
    facts = regression.run(job(roots, tmp_path, "data"))["facts"]
    exact = facts["exact"]
    for name in regression.DATASETS:
        dataset = datasets.load(name, roots[name])
        lengths = {v.name: decode.count_frames(dataset.root / v.path) for v in dataset.videos()}
        assert exact[f"fingerprint/{name}"] == dataset.fingerprint()
        assert exact[f"counts/{name}/split2-test"] == len(dataset.splits[2].test)
        assert exact[f"counts/{name}/decoded"] == len(lengths)
        assert exact[f"counts/{name}/frames"] == sum(lengths.values())
        for file, digest in dataset.lists.items():
            assert exact[f"lists/{name}/{file}"] == digest
    for starts in (value for key, value in exact.items() if key.startswith("clip-starts/")):
        assert len(starts) == 10
    assert exact["parameters/c3d-width-64"] == 27_661_440
    # Everything can be written as a golden number.
    golden.Golden(paper="vcop", exact=exact, near=facts["near"])


def test_the_trained_part_goes_through_every_stage(roots, tmp_path, monkeypatch):
    monkeypatch.setattr(regression, "EPOCHS", 1)
    trained = regression.run(job(roots, tmp_path, "trained"))["facts"]["trained"]
    assert {name: found["chance"] for name, found in trained.items()} == {
        "order-accuracy/r3d": 100 / 6,
        "video-retrieval-top1/r3d": 50,
        "video-retrieval-gain/r3d": 0,
    }
    assert all(-100 <= found["value"] <= 100 for found in trained.values())


def test_a_paper_without_a_slice_is_refused():
    with pytest.raises(InputError, match="no regression slice for paper 'mas'"):
        regression.parts("mas")


# Computes one network's part of the slice, given the folder of UCF101 and one to write into.
COMPUTE = """
import json, sys
from pathlib import Path
import torch
from suite import recipe, regression
from suite.stages import Job, Runtime
torch.set_num_threads(1)
settings = recipe.load("vcop", "tiny").settings.model_copy(update={"width": 8})
data = regression._Native(Job("", {}, {}, {"ucf101": Path(sys.argv[1])}, Path(sys.argv[2]), Runtime()), "ucf101", settings)
counted, numbers = regression._evaluated("r3d", data, settings)
first = regression._first_step("r3d", data, settings)
print(json.dumps([counted, {**numbers, "first": first}, regression._double_steps("r3d", data, settings)]))
"""


def computed(root: Path, folder: Path, switches: dict[str, str]) -> subprocess.Popen:
    folder.mkdir()
    command = [sys.executable, "-c", COMPUTE, str(root), str(folder)]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | switches, stdout=subprocess.PIPE, text=True)


def test_instruction_sets_move_no_exact_number_and_near_ones_within_tolerance(roots, tmp_path):
    new = computed(roots["ucf101"], tmp_path / "new", {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"})
    old = computed(roots["ucf101"], tmp_path / "old", {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"})
    (counted, single, double), expected = (json.loads(process.communicate()[0]) for process in (new, old))
    assert counted["clip-retrieval/total"] > counted["clip-retrieval/top1"] > 0
    assert counted == expected[0]
    assert single == pytest.approx(expected[1], rel=regression.FLOAT32 / 10, abs=0)
    assert double == pytest.approx(expected[2], rel=regression.FLOAT64 / 10, abs=0)
