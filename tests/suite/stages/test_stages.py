"""Stages on small generated data: what they leave behind, and that no number depends on how they are run."""

import json
from importlib import import_module

import pytest

from suite import recipe, stages
from suite.datasets import synthetic
from suite.errors import InputError

CLASSES = 2


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Generated UCF101 with two classes, checked, and its frames stored."""
    return Bench(tmp_path_factory.mktemp("stages"))


class Bench:
    """Runs stages with the tiny recipe, one epoch a training, batches of four, a network of width 4."""

    def __init__(self, folder):
        self.folder, self.count = folder, 0
        settings = recipe.load("vcop", "tiny").settings.model_dump(mode="json")
        for part in (settings["pretraining"]["vcop"], settings["finetuning"]):
            part["optimisation"] |= {"epochs": 1, "batch": 8}
        self.settings = settings
        root = folder / "data"
        synthetic.generate("ucf101", root, settings["synthetic"] | {"classes": CLASSES}, lambda done, total: None)
        self.roots = {"ucf101": root}
        check, _ = self.run("check-data", {"dataset": "ucf101"}, {})
        self.data = {"check-data:ucf101": check}
        frames, _ = self.run("frames", {"dataset": "ucf101", "resize": settings["video"]["resize"]}, self.data)
        self.stored = self.data | {"frames:ucf101": frames}

    def run(self, kind, config, inputs, **runtime):
        self.count += 1
        folder = self.folder / f"{self.count}-{kind}"
        folder.mkdir()
        job = stages.Job(kind, config, inputs, self.roots, folder, stages.Runtime(**runtime))
        result = stages.run(job)
        json.dumps(result, allow_nan=False)
        return folder, result

    def network(self, **more):
        common = {"backbone": "r3d", "width": 4, "seed": 0, "threads": 1}
        common["video"] = {key: self.settings["video"][key] for key in ("clip_length", "resize", "crop", "pixels")}
        return common | more

    def pretraining(self):
        return self.network(
            pretraining=self.settings["pretraining"]["vcop"], holdout=self.settings["holdout"]["ucf101"]
        )

    def finetuning(self, **more):
        settings = {"finetuning": self.settings["finetuning"], "holdout": self.settings["holdout"]["ucf101"]}
        return self.network(dataset="ucf101", split=1, **settings, **more)

    def features(self):
        return self.network(dataset="ucf101", split=1, clips=10, stride=1, pooling="conv5-max", bn="running")


@pytest.mark.parametrize("kind", stages.VERSIONS)
def test_every_kind_has_a_function(kind):
    module, function = stages.KINDS[kind][0].rsplit(".", 1)
    assert callable(getattr(import_module(module), function))


def test_pretraining_and_order_accuracy(bench):
    folder, result = bench.run("pretrain", bench.pretraining(), bench.stored)
    counts = result["counts"]
    # Two classes of 27 training videos; those shorter than 32 frames hold no tuple.
    assert counts["listed"] == 54
    lengths = json.loads((bench.data["check-data:ucf101"] / "videos.json").read_text(encoding="utf-8"))["videos"]
    trained = {name for name in lengths if int(name.split("_g")[1][:2]) not in range(1, 8)}
    assert counts["eligible"] == sum(lengths[name] >= 32 for name in trained) < 54
    assert counts["trained"] + counts["held_out"] == counts["eligible"]
    held = (folder / "validation.txt").read_text(encoding="utf-8").split()
    assert len(held) == counts["held_out"] == round(counts["eligible"] * 800 / 9537)
    assert set(held) <= trained
    assert len(result["curves"]["train_loss"]) == 1
    _, tested = bench.run("order-accuracy", bench.pretraining(), bench.stored | {"pretrain": folder})
    hits = tested["outcomes"]["hits"]["accuracy"]
    assert tested["counts"]["total"] == len(hits) == len(tested["outcomes"]["groups"])
    assert tested["scores"]["accuracy"] == pytest.approx(100 * sum(hits) / len(hits))


def test_workers_and_the_frame_store_change_no_number(bench):
    reference, expected = bench.run("pretrain", bench.pretraining(), bench.stored)
    for inputs, workers in ((bench.stored, 1), (bench.stored, 3), (bench.data, 0), (bench.data, 2)):
        folder, result = bench.run("pretrain", bench.pretraining(), inputs, workers=workers)
        assert result == expected
        assert (folder / "best.safetensors").read_bytes() == (reference / "best.safetensors").read_bytes()


def test_features_and_retrieval(bench):
    folder, result = bench.run("features", bench.features(), bench.stored)
    assert result["counts"] == {"train_listed": 54, "train_decoded": 54, "test_listed": 22, "test_decoded": 22}
    config = {"dataset": "ucf101", "split": 1, "top": [1, 5, 10, 20, 50], "resize": bench.settings["video"]["resize"]}
    _, clips = bench.run("clip-retrieval", config, {"features": folder})
    _, videos = bench.run("video-retrieval", config, {"features": folder} | bench.stored)
    assert clips["counts"]["total"] == 220
    assert videos["counts"]["total"] == 22
    for found, most in ((clips, 10), (videos, 1)):
        scores = [found["scores"][f"top{k}"] for k in config["top"]]
        assert scores == sorted(scores)
        for k in config["top"]:
            hits = found["outcomes"]["hits"][f"top{k}"]
            assert max(hits) <= most
            assert sum(hits) == found["counts"][f"correct_top{k}"]
            assert found["scores"][f"top{k}"] == pytest.approx(100 * sum(hits) / found["counts"]["total"])
    assert len(videos["examples"]) == CLASSES
    for example in videos["examples"]:
        for neighbour in example["neighbours"]:
            assert neighbour["correct"] == (neighbour["class"] == example["query_class"])


def test_features_of_pretrained_weights_differ(bench):
    pretrained, _ = bench.run("pretrain", bench.pretraining(), bench.stored)
    random, _ = bench.run("features", bench.features(), bench.stored)
    trained, _ = bench.run("features", bench.features(), bench.stored | {"pretrain": pretrained})
    assert (random / "test.npy").read_bytes() != (trained / "test.npy").read_bytes()


def test_finetuning_uses_few_labels_and_recognition_counts(bench):
    folder, result = bench.run("finetune", bench.finetuning(), bench.stored)
    assert result["counts"]["trained"] == CLASSES * bench.settings["finetuning"]["videos_per_class"]
    _, tested = bench.run("recognition", bench.finetuning(), bench.stored | {"finetune": folder})
    assert tested["counts"]["total"] == tested["counts"]["listed"] == 22
    assert tested["scores"]["accuracy"] == pytest.approx(100 * tested["counts"]["correct"] / 22)


def test_too_few_long_videos_are_an_error(bench):
    config = bench.pretraining()
    config["pretraining"] = config["pretraining"] | {"interval": 40}
    with pytest.raises(InputError, match="training videos are long enough"):
        bench.run("pretrain", config, bench.stored)
