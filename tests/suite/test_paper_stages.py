"""The stages of MAS, the curricula and Skip-Clip on small generated data: each runs, and leaves what the harness reads."""

import json

import pytest
import torch

from suite import checkpoints, recipe, stages
from suite.datasets import synthetic
from suite.errors import InputError
from suite.stages import networks
from suite.video.clips import tuple_span

RECIPES = {key: recipe.load(key, "tiny").settings.model_dump(mode="json") for key in recipe.papers()}


class Papers:
    """Runs stages of any paper's tiny recipe: two classes of UCF101, networks of width 4, one epoch."""

    def __init__(self, folder):
        self.folder, self.count, self.roots, self.inputs = folder, 0, {}, {}
        self._done = {}

    def data(self, *names) -> dict:
        """Inputs of datasets, generated and checked."""
        for name in names:
            if name not in self.roots:
                self.roots[name] = self.folder / "data" / name
                classes = 2 if name == "ucf101" else 0
                settings = RECIPES["mas"]["synthetic"] | {"classes": classes}
                synthetic.generate(name, self.roots[name], settings, lambda done, total: None)
                self.inputs[f"check-data:{name}"], _ = self.run("check-data", {"dataset": name}, {})
        return {role: path for role, path in self.inputs.items() if role.split(":")[1] in names}

    def run(self, kind, config, inputs):
        self.count += 1
        folder = self.folder / f"{self.count}-{kind}"
        folder.mkdir()
        result = stages.run(stages.Job(kind, config, inputs, self.roots, folder, stages.Runtime()))
        json.dumps(result, allow_nan=False)
        return folder, result

    def network(self, key, backbone, **more) -> dict:
        video = {name: RECIPES[key]["video"][name] for name in ("clip_length", "resize", "crop", "pixels")}
        return {"backbone": backbone, "width": 4, "seed": 0, "threads": 1, "video": video} | more

    def pretraining(self, key, backbone, weights) -> dict:
        chosen = {name: value for name, value in RECIPES[key]["pretraining"][weights].items() if value is not None}
        chosen = chosen | {"optimisation": chosen["optimisation"] | {"epochs": 1}}
        return self.network(key, backbone, pretraining=chosen, holdout=RECIPES[key]["holdout"].get("ucf101"))

    def pretrained(self, key, backbone, weights, **inputs):
        """(configuration, inputs, folder, result) of a pretraining, run once."""
        if (key, weights) not in self._done:
            config = self.pretraining(key, backbone, weights)
            found = self.data("ucf101") | inputs
            if key == "mas":
                config["flow"] = {"method": "dis"}
            self._done[key, weights] = (config, found, *self.run("pretrain", config, found))
        return self._done[key, weights]


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    return Papers(tmp_path_factory.mktemp("papers"))


def test_flow_is_stored_and_says_its_error(papers):
    config = {"dataset": "ucf101", "split": 1, "resize": [37, 49], "flow": {"method": "dis"}}
    folder, result = papers.run("flow", config, papers.data("ucf101"))
    assert result["counts"]["videos"] == 2 * 38
    assert 0 < result["facts"]["error"]["largest"] < 0.1
    assert result["counts"]["bytes"] == sum(path.stat().st_size for path in folder.rglob("*.flow"))


def test_statistics_are_pretrained_without_a_hold_out_and_judged(papers):
    config, inputs, folder, result = papers.pretrained("mas", "c3d5", "joint")
    assert result["counts"]["held_out"] == 0
    assert set(result["curves"]) == {"train_loss", "train_motion", "train_appearance"}
    total = zip(result["curves"]["train_motion"], result["curves"]["train_appearance"], strict=True)
    assert result["curves"]["train_loss"] == pytest.approx([sum(parts) for parts in total])
    judged, found = papers.run("statistics-errors", config, inputs | {"pretrain": folder})
    scores = found["scores"]
    assert len(scores) == 27 + 3
    assert all(score > 0 for score in scores.values())
    errors = found["facts"]["errors"]
    assert scores["motion"] == errors["motion"]["network"] / errors["motion"]["constant"]
    assert (judged / "clip.png").stat().st_size > 1000
    assert found["pictures"] == ["clip.png"]


def test_mas_is_fine_tuned_on_every_clip_and_tested_on_windows(papers):
    _, inputs, pretrained, _ = papers.pretrained("mas", "c3d5", "joint")
    settings = RECIPES["mas"]["finetuning"]
    settings = settings | {"optimisation": settings["optimisation"] | {"epochs": 1}}
    config = papers.network("mas", "c3d5", dataset="ucf101", split=1, finetuning=settings, holdout=None)
    folder, result = papers.run("finetune", config, inputs | {"pretrain": pretrained})
    # Five videos of each class, each of several clips.
    assert result["counts"]["trained"] > 2 * 5
    state = checkpoints.load(folder / "best.safetensors")
    # Three fully connected layers.
    assert [name for name in state if name.startswith("classifier") and name.endswith("weight")] == [
        f"classifier.{layer}.weight" for layer in (0, 2, 4)
    ]
    _, tested = papers.run("recognition", config, inputs | {"finetune": folder})
    assert tested["counts"]["total"] == 2 * 11


def test_the_probes_take_every_video(papers):
    for name, videos in (("aslan", 140), ("yupenn", 14 * 6)):
        inputs = papers.data(name)
        config = papers.network("mas", "c3d5", dataset=name, step=4)
        features, result = papers.run("probe-features", config, inputs)
        assert result["counts"] == {"listed": videos, "decoded": videos}
        config = {"dataset": name, "svm_c": 1.0, "floor": 1e-10}
        _, found = papers.run(name, config, inputs | {"features": features})
        counts = found["counts"]
        assert counts["total"] == (280 if name == "aslan" else videos)
        assert found["scores"]["accuracy"] == pytest.approx(100 * counts["correct"] / counts["total"])
        assert sum(found["outcomes"]["hits"]["accuracy"]) == counts["correct"]
    assert 0 <= found["scores"]["accuracy"] <= 100


def test_a_curriculum_goes_on_from_the_backbone_and_keeps_its_hold_out(papers):
    _, inputs, first, _ = papers.pretrained("vcop-curriculum", "r3d", "16-8-3")
    longer = papers.pretraining("vcop-curriculum", "r3d", "16-8-4")
    second, result = papers.run("pretrain", longer, inputs | {"pretrain": first})
    held = [set((folder / "validation.txt").read_text(encoding="utf-8").split()) for folder in (first, second)]
    # Shorter videos drop out for longer tuples; the rest of what was held out stays held out.
    frames = json.loads((inputs["check-data:ucf101"] / "videos.json").read_text(encoding="utf-8"))["videos"]
    settings = longer["pretraining"]
    span = tuple_span(settings["tuple_length"], longer["video"]["clip_length"], settings["interval"])
    assert {name for name in held[0] if frames[name] >= span} <= held[1]
    # It starts from the backbone of the stage before, under a head of its own.
    job = stages.Job("pretrain", longer, inputs | {"pretrain": first}, papers.roots, papers.folder, stages.Runtime())
    start, before = networks.pretext_network(job).state_dict(), checkpoints.load(first / "best.safetensors")
    assert all(torch.equal(start[name], tensor) for name, tensor in before.items() if name.startswith("backbone."))
    assert start["head.order.weight"].shape[0] == 24
    assert result["counts"]["eligible"] <= 2 * 27
    _, curve = papers.run("training-curve", {}, {"pretrain": second})
    assert curve["scores"]["max_val_acc"] == max(result["curves"]["validation_accuracy"])
    assert curve["counts"] == {"epochs": 1}


def test_the_sample_based_curriculum_records_and_goes_on(papers):
    _, inputs, first, _ = papers.pretrained("vcop-curriculum", "r3d", "16-8-3")
    config = papers.pretraining("vcop-curriculum", "r3d", "16-8-3-sample")
    config["pretraining"]["sample"] = {"record_epochs": 2, "threshold": 0.1, "more_epochs": 1}
    folder, result = papers.run("pretrain", config, inputs | {"pretrain": first})
    recorded = json.loads((folder / "softmax.json").read_text(encoding="utf-8"))
    easy = sum(
        all(right) and min(confidence) > 0.1
        for right, confidence in zip(recorded["right"], recorded["confidence"], strict=True)
    )
    assert result["counts"]["easy"] == easy
    assert result["counts"]["trained"] == len(recorded["names"]) - easy


def test_fine_tuning_keeps_what_is_frozen_as_it_was_pretrained(papers):
    _, inputs, first, _ = papers.pretrained("vcop-curriculum", "r3d", "16-8-3")
    settings = RECIPES["vcop-curriculum"]["finetuning"]
    settings = settings | {"freeze_below": "conv3", "optimisation": settings["optimisation"] | {"epochs": 1}}
    holdout = RECIPES["vcop-curriculum"]["holdout"]["ucf101"]
    config = papers.network("vcop-curriculum", "r3d", dataset="ucf101", split=1, finetuning=settings, holdout=holdout)
    folder, _ = papers.run("finetune", config, inputs | {"pretrain": first})
    before, after = (checkpoints.load(path / "best.safetensors") for path in (first, folder))
    frozen = [name for name in before if name.startswith(("backbone.conv1", "backbone.conv2"))]
    # Weights, and the running statistics of batch norm.
    assert any("running_mean" in name for name in frozen)
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    learnt = [name for name in before if name.startswith("backbone.conv3") and name.endswith("weight")]
    assert not any(torch.equal(before[name], after[name]) for name in learnt)


def test_order_accuracy_by_class(papers):
    config, inputs, folder, _ = papers.pretrained("vcop-curriculum", "r3d", "16-8-3")
    _, result = papers.run("order-accuracy", config, inputs | {"pretrain": folder})
    of_class = {name: score for name, score in result["scores"].items() if name.startswith("accuracy_")}
    assert set(of_class) == {"accuracy_MoveRight", "accuracy_MoveUpRight"}
    correct = sum(tally[0] for tally in result["facts"]["classes"].values())
    assert correct == result["counts"]["correct"]


def test_ranking_accuracy_and_its_picture(papers):
    config, inputs, folder, result = papers.pretrained("skip-clip", "resnet18-3d", "skip-clip")
    assert {"train_rank_loss", "train_contrastive_loss", "train_rotation_loss"} <= set(result["curves"])
    ranked, found = papers.run("ranking-accuracy", config, inputs | {"pretrain": folder})
    counts = found["counts"]
    # Six targets make fifteen pairs.
    assert counts["total"] == 15 * len(found["outcomes"]["groups"])
    assert found["scores"]["ranking_accuracy"] == 100 * counts["correct_ranking_accuracy"] / counts["total"]
    assert [name for name in found["scores"] if name.startswith("score_")] == [f"score_{n}" for n in range(1, 7)]
    assert (ranked / "similarity.png").stat().st_size > 1000


def test_imagenet_weights_become_a_backbone(tmp_path, papers):
    from torchvision.models import resnet18

    torch.manual_seed(0)
    original = resnet18()
    path = tmp_path / "resnet18-f37072fd.pth"
    torch.save(original.state_dict(), path)
    papers.roots["imagenet"] = path
    folder, _ = papers.run("inflate", {}, {})
    state = checkpoints.load(folder / "best.safetensors")
    flat = original.state_dict()["conv1.weight"]
    inflated = next(tensor for name, tensor in state.items() if tensor.shape == (64, 3, 7, 7, 7))
    torch.testing.assert_close(inflated.sum(2), flat)
    papers.roots["imagenet"] = tmp_path / "absent.pth"
    with pytest.raises(InputError, match=r"absent\.pth"):
        papers.run("inflate", {}, {})
