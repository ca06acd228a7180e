"""The stages of all papers but the first on small generated data: each runs, and leaves what the harness reads."""

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from suite import backbones, checkpoints, recipe, stages
from suite.datasets import activitynet_qa, synthetic
from suite.errors import InputError
from suite.evaluation import space
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
                if name == "activitynet-qa":
                    fewer_questions(self.roots[name])
                self.inputs[f"check-data:{name}"], _ = self.run("check-data", {"dataset": name}, {})
        return {role: path for role, path in self.inputs.items() if role.split(":")[1] in names}

    def run(self, kind, config, inputs):
        self.count += 1
        folder = self.folder / f"{self.count}-{kind}"
        folder.mkdir()
        result = stages.run(stages.Job(kind, config, inputs, self.roots, folder, stages.Runtime()))
        # As the harness leaves it for the stages that read results.
        (folder / "result.json").write_text(json.dumps({"result": result}, allow_nan=False), encoding="utf-8")
        return folder, result

    def job(self, config, inputs):
        """A job for what makes networks and reads nothing else."""
        return stages.Job("", config, inputs, self.roots, self.folder, stages.Runtime())

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


# Videos of each part that are asked about, and those of them that are not there.
ASKED = {"train": 10, "val": 4, "test": 6}
ABSENT = {"train": 2, "test": 1}


def fewer_questions(root: Path) -> None:
    """Keep the questions about the first videos of each part, and take some of the videos away."""
    for part, questions in activitynet_qa.questions(root).items():
        videos = list(dict.fromkeys(question.video for question in questions))
        kept = {question.id for question in questions if question.video in videos[: ASKED[part]]}
        for kind in "qa":
            path = root / "activitynet-qa" / f"{part}_{kind}.json"
            entries = json.loads(path.read_text(encoding="utf-8"))
            entries = [entry for entry in entries if entry["question_id"] in kept]
            path.write_text(json.dumps(entries), encoding="utf-8")
        for video in videos[: ABSENT.get(part, 0)]:
            (path,) = (root / "activitynet-qa/videos").rglob(f"*{video}.avi")
            path.unlink()


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
        config = papers.network("mas", "c3d5", dataset=name, step=4, stride=1)
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
    start = networks.pretext_network(papers.job(longer, inputs | {"pretrain": first})).state_dict()
    before = checkpoints.load(first / "best.safetensors")
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


# ---------------------------------------------------------------- srop


def shown(path: Path) -> tuple[int, int]:
    """Size of a picture that can be opened and holds more than one colour."""
    with Image.open(path) as picture:
        assert len(picture.convert("RGB").getcolors(picture.width * picture.height)) > 1
        return picture.size


def saved(network, folder: Path) -> Path:
    """A network as a pretraining would have left it."""
    folder.mkdir()
    checkpoints.save(network.state_dict(), folder / "best.safetensors", {})
    return folder


def test_segments_are_pretrained_and_all_three_subtasks_scored(papers):
    config, inputs, folder, result = papers.pretrained("srop", "r3d", "full")
    # Segments shrink to what a video has: none is too short.
    assert result["counts"]["eligible"] == result["counts"]["listed"] == 2 * 27
    parts = {f"{part}_loss" for part in ("order", "rate", "contrastive")}
    assert {f"{side}_{part}" for side in ("train", "validation") for part in parts} <= set(result["curves"])
    # The last weights, whatever the validation says.
    assert result["facts"]["best_epoch"] == 0
    _, found = papers.run("segment-scores", config, inputs | {"pretrain": folder})
    names = {"order_accuracy", "rate_error", "contrastive_loss", "positive_first"}
    assert set(found["scores"]) == names | {f"untrained_{name}" for name in names} | {"constant_rate_error"}
    videos = 2 * 11
    assert found["counts"]["total"] == found["counts"]["decoded"] == len(found["outcomes"]["groups"]) == videos
    for name in ("order_accuracy", "positive_first"):
        hits = found["outcomes"]["hits"][name]
        assert len(hits) == videos
        assert set(hits) <= {0, 1}
        assert found["counts"][f"correct_{name}"] == sum(hits)
        assert found["scores"][name] == pytest.approx(100 * sum(hits) / videos)
    # As long as there are training videos to fill it.
    assert found["facts"]["queue"] == 2 * 27
    assert 1 < found["facts"]["constant_rate"] < config["pretraining"]["max_rate"]


def test_untrained_scores_are_those_of_the_network_before_its_first_step(papers, tmp_path):
    config, inputs, folder, _ = papers.pretrained("srop", "r3d", "full")
    fresh = networks.pretext_network(papers.job(config, inputs))
    found = [
        papers.run("segment-scores", config, inputs | {"pretrain": path})[1]["scores"]
        for path in (folder, saved(fresh, tmp_path / "fresh"))
    ]
    trained, untrained = (
        {name: value for name, value in scores.items() if "untrained" not in name} for scores in found
    )
    assert {f"untrained_{name}" for name in trained} - set(found[0]) == {"untrained_constant_rate_error"}
    for scores in found:
        assert {name: scores.get(f"untrained_{name}", value) for name, value in untrained.items()} == untrained
    assert trained["rate_error"] != untrained["rate_error"]
    assert trained["contrastive_loss"] != untrained["contrastive_loss"]
    assert trained["constant_rate_error"] == untrained["constant_rate_error"]


def test_a_single_subtask_is_scored_alone(papers):
    config, inputs, folder, _ = papers.pretrained("srop", "r3d", "rate")
    _, found = papers.run("segment-scores", config, inputs | {"pretrain": folder})
    assert set(found["scores"]) == {"rate_error", "untrained_rate_error", "constant_rate_error"}
    # Nothing is right or wrong.
    assert found["outcomes"] is None
    assert "queue" not in found["facts"]


def test_views_are_learnt_under_a_network_that_stays_and_become_keys(papers):
    _, inputs, full, _ = papers.pretrained("srop", "r3d", "full")
    _, _, views, result = papers.pretrained("srop", "r3d", "views", pretrain=full)
    assert {"train_photometric", "train_kl", "train_info_max", "train_info_min"} <= set(result["curves"])
    extractor, trained = checkpoints.load(full / "best.safetensors"), checkpoints.load(views / "best.safetensors")
    assert all(torch.equal(trained[name], extractor[name]) for name in trained if name.startswith("backbone."))
    assert any(name.startswith("autoencoder.") for name in trained)
    config, inputs, folder, _ = papers.pretrained("srop", "r3d", "view", views=views)
    made = networks.pretext_network(papers.job(config, inputs)).views
    assert not made.training
    assert all(torch.equal(tensor, trained[f"autoencoder.{name}"]) for name, tensor in made.state_dict().items())
    # Half of the keys were others; the generator of views is no part of what was learnt.
    learnt = checkpoints.load(folder / "best.safetensors")
    assert learnt.keys() == extractor.keys()
    assert not torch.equal(learnt["queue"], extractor["queue"])
    _, found = papers.run("segment-scores", config, inputs | {"pretrain": folder})
    assert found["counts"]["total"] == 2 * 11


def test_views_are_scored_beside_untrained_ones_and_shown(papers, tmp_path):
    _, inputs, full, _ = papers.pretrained("srop", "r3d", "full")
    config, inputs, views, _ = papers.pretrained("srop", "r3d", "views", pretrain=full)
    fresh = networks.pretext_network(papers.job(config, inputs))
    untrained = saved(fresh, tmp_path / "fresh")
    (folder, result), (_, before) = (
        papers.run("view-scores", config, inputs | {"pretrain": path}) for path in (views, untrained)
    )
    names = {"photometric", "info_max", "grey_info_max", "view_similarity", "other_similarity"}
    scores = result["scores"]
    assert set(scores) == names | {f"untrained_{name}" for name in names}
    # Untrained, but for the network that compares.
    assert {name: scores[f"untrained_{name}"] for name in names} == {name: before["scores"][name] for name in names}
    assert scores["photometric"] != scores["untrained_photometric"]
    assert -100 <= scores["view_similarity"] <= 100
    assert result["counts"]["total"] == 2 * 11
    assert result["pictures"] == ["view.png"]
    shown(folder / "view.png")


def test_fine_tuning_with_colours_and_when_it_reaches_its_plateau(papers, tmp_path):
    _, inputs, full, _ = papers.pretrained("srop", "r3d", "full")
    settings = RECIPES["srop"]["finetuning"]
    assert settings["jitter"] > 0
    settings = settings | {"optimisation": settings["optimisation"] | {"epochs": 2}}
    holdout = RECIPES["srop"]["holdout"]["ucf101"]
    config = papers.network("srop", "r3d", dataset="ucf101", split=1, finetuning=settings, holdout=holdout)
    folder, result = papers.run("finetune", config, inputs | {"pretrain": full})
    plain = config | {"finetuning": settings | {"jitter": 0.0}}
    other, _ = papers.run("finetune", plain, inputs | {"pretrain": full})
    assert (folder / "best.safetensors").read_bytes() != (other / "best.safetensors").read_bytes()
    _, curve = papers.run("finetuning-curve", {}, {"finetune": folder})
    accuracy = result["curves"]["validation_accuracy"]
    assert curve["scores"]["max_val_acc"] == max(accuracy)
    assert curve["counts"] == {"epochs": len(accuracy)} == {"epochs": 2}
    for accuracy, reached in (([10.0, 94.0, 96.0, 100.0], 3), ([50.0, 48.0], 1), ([0.0, 0.0], 1), ([0.0, 20.0], 2)):
        (tmp_path / "curves.json").write_text(json.dumps({"validation_accuracy": accuracy}), encoding="utf-8")
        _, curve = papers.run("finetuning-curve", {}, {"finetune": tmp_path})
        assert curve["scores"] == {"epochs_to_plateau": reached, "max_val_acc": max(accuracy)}


def test_feature_space_of_the_test_clips(papers, tmp_path):
    _, inputs, full, _ = papers.pretrained("srop", "r3d", "full")
    taken = {"dataset": "ucf101", "split": 1, "clips": 2, "stride": 1, "pooling": "global", "bn": "running"}
    config = papers.network("srop", "r3d", **taken)
    features, _ = papers.run("features", config, inputs | {"pretrain": full})
    folder, result = papers.run("feature-space", {"dataset": "ucf101"}, {"features": features})
    assert result["counts"] == {"listed": 22, "decoded": 22, "clips": 44}
    assert result["facts"]["classes"] == ["MoveRight", "MoveUpRight"]
    rows = np.load(features / "test.npy").reshape(44, -1)
    labels = np.repeat(json.loads((features / "test.json").read_text(encoding="utf-8"))["labels"], 2)
    assert result["scores"]["silhouette"] == pytest.approx(100 * space.silhouette(rows, labels))
    assert shown(folder / "space.png") == space.SIZE
    # Videos of one class alone lie nowhere.
    single = Path(shutil.copytree(features, tmp_path / "single"))
    content = json.loads((single / "test.json").read_text(encoding="utf-8"))
    (single / "test.json").write_text(json.dumps(content | {"labels": [0] * 22}), encoding="utf-8")
    with pytest.raises(InputError, match=r"needs two classes .*give more videos$"):
        papers.run("feature-space", {"dataset": "ucf101"}, {"features": single})


def test_costs_are_counted_on_the_papers_input(papers):
    known = tomllib.loads(backbones.COUNTED.read_text(encoding="utf-8"))["r2plus1d"]
    video = RECIPES["srop"]["video"] | {"clip_length": 16, "crop": 112}
    config = {"backbone": "r2plus1d", "width": 64, "seed": 0, "video": video}
    _, backbone = papers.run("cost", config, {})
    assert backbone["scores"] == {
        "parameters": known["parameters"] / 1e6,
        "gmacs": known["multiply_accumulates"] / 1e9,
    }
    assert backbone["facts"] == {"clip": [16, 112, 112]}
    chosen = recipe.load("srop", "paper").settings.model_dump(mode="json")["pretraining"]
    _, full = papers.run("cost", config | {"pretraining": chosen["full"]}, {})
    heads = 513 * 512 + 513 * 6, 513 * 3, 513 * 512 + 513 * 128
    assert full["scores"]["parameters"] == pytest.approx((known["parameters"] + sum(heads)) / 1e6, abs=1e-9)
    _, view = papers.run("cost", config | {"pretraining": chosen["view"], "networks": {"views": chosen["views"]}}, {})
    assert 0.1 < view["scores"]["parameters"] - full["scores"]["parameters"] < 0.3
    # Heads see one vector, views are made in training alone: neither counts.
    assert full["scores"]["gmacs"] == view["scores"]["gmacs"] == backbone["scores"]["gmacs"]
    _, three = papers.run("cost", config | {"clips": 3}, {})
    assert three["scores"]["gmacs"] == pytest.approx(3 * backbone["scores"]["gmacs"])
    assert three["scores"]["parameters"] == backbone["scores"]["parameters"]
    _, longer = papers.run("cost", config | {"video": video | {"clip_length": 32}}, {})
    assert longer["scores"]["gmacs"] == pytest.approx(2 * backbone["scores"]["gmacs"], rel=0.02)


# ---------------------------------------------------------------- questions about videos


@pytest.fixture(scope="module")
def asked(papers):
    """Questions about a few videos: (configuration, inputs with features, folder and result of the baseline)."""
    inputs = papers.data("activitynet-qa")
    settings = RECIPES["vcop-curriculum"]["question_answering"]
    settings = settings | {"hidden": 8, "optimisation": settings["optimisation"] | {"epochs": 2}}
    taken = {"dataset": "activitynet-qa", "split": 1, "clips": 3, "stride": 1, "pooling": "global", "bn": "running"}
    features, _ = papers.run("features", papers.network("vcop-curriculum", "r3d", **taken), inputs)
    config = papers.network("vcop-curriculum", "r3d", dataset="activitynet-qa", question_answering=settings)
    baseline, result = papers.run("question-baseline", config, inputs)
    return config, inputs | {"features": features, "baseline": baseline}, result


def test_questions_alone_and_the_most_frequent_answers(papers, asked):
    _, _, result = asked
    listed = activitynet_qa.questions(papers.roots["activitynet-qa"])
    counts = result["counts"]
    for part, videos in ASKED.items():
        assert counts[f"{part}_questions"] == 9 * videos == len(listed[part])
        assert counts[f"{part}_without_video"] == 9 * ABSENT.get(part, 0)
    assert counts["trained"] == 9 * (ASKED["train"] - ABSENT["train"])
    assert counts["unanswerable_in_training"] == 0
    kinds = [*activitynet_qa.TYPES, "all"]
    names = ("question_only", "most_frequent", "most_frequent_of_type")
    assert set(result["scores"]) == {f"{name}_{kind}" for name in names for kind in kinds}
    # By hand, of one type: the questions of the videos that are there.
    training, test = (
        [q.answer for q in listed[part][9 * ABSENT[part] :] if activitynet_qa.TYPES[q.type] == "free_color"]
        for part in ("train", "test")
    )
    best = min(training, key=lambda answer: (-training.count(answer), answer))
    assert result["scores"]["most_frequent_of_type_free_color"] == pytest.approx(100 * test.count(best) / len(test))
    assert result["facts"]["words_covered"] == result["facts"]["tokens_covered"] == 0
    assert len(result["curves"]["validation_accuracy"]) == 2


def test_questions_about_videos_are_answered_and_their_attention_shown(papers, asked):
    config, inputs, baseline = asked
    folder, result = papers.run("video-qa", config, inputs)
    counts, hits = result["counts"], result["outcomes"]["hits"]["all"]
    assert counts["total"] == len(hits) == 9 * (ASKED["test"] - ABSENT["test"])
    assert sum(hits) == counts["correct_all"] == sum(counts[f"correct_{kind}"] for kind in activitynet_qa.TYPES)
    for kind in (*activitynet_qa.TYPES, "all"):
        assert result["scores"][kind] == pytest.approx(100 * counts[f"correct_{kind}"] / counts[f"asked_{kind}"])
    # Beside them what knows no video, as it was measured.
    assert result["scores"].items() >= baseline["scores"].items()
    # Questions about one video stand and fall together: a group is a video.
    assert len(set(result["outcomes"]["groups"])) == ASKED["test"] - ABSENT["test"]
    assert len(result["curves"]["validation_accuracy"]) == 2
    listed = activitynet_qa.questions(papers.roots["activitynet-qa"])["train"][9 * ABSENT["train"] :]
    assert result["facts"]["answers"] == len({question.answer for question in listed})
    assert result["pictures"] == ["attention.png"]
    shown(folder / "attention.png")
    # The video is looked at: other features, other answers or at least another loss.
    other = shutil.copytree(inputs["features"], papers.folder / "other-features")
    np.save(other / "train.npy", np.load(other / "train.npy")[::-1])
    _, changed = papers.run("video-qa", config, inputs | {"features": other})
    assert changed["curves"]["train_loss"] != result["curves"]["train_loss"]


def test_word_vectors_are_taken_from_the_file_of_a_run(papers, asked, monkeypatch, tmp_path):
    config, inputs, learnt = asked
    path = tmp_path / "glove.txt"
    path.write_text("the 0 0 0 0 0 0 0 1\nobject 0 0 0 0 0 0 1 0\nzebra 1 1 1 1 1 1 1 1\n", encoding="utf-8")
    monkeypatch.setitem(papers.roots, "glove", path)
    _, result = papers.run("question-baseline", config, inputs)
    facts = result["facts"]
    assert facts["words_covered"] == pytest.approx(2 / (facts["words"] - 2))
    assert facts["words_covered"] < facts["tokens_covered"] < 1
    assert result["curves"]["train_loss"] != learnt["curves"]["train_loss"]
    path.write_text("the 0 0 1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"glove\.txt: line 1: has 3 numbers, not 8; .*glove\.6B\.8d\.txt$"):
        papers.run("question-baseline", config, inputs)


def test_a_part_whose_videos_cannot_be_read_is_named(papers, asked, tmp_path):
    config, inputs, _ = asked
    check = Path(shutil.copytree(inputs["check-data:activitynet-qa"], tmp_path / "check"))
    report = json.loads((check / "videos.json").read_text(encoding="utf-8"))
    for question in activitynet_qa.questions(papers.roots["activitynet-qa"])["val"]:
        report["videos"].pop(question.video, None)
    (check / "videos.json").write_text(json.dumps(report), encoding="utf-8")
    with pytest.raises(InputError, match=r"not one question of val_q\.json is about a video that can be read; "):
        papers.run("question-baseline", config, inputs | {"check-data:activitynet-qa": check})


def test_features_of_other_videos_are_refused(papers, asked, tmp_path):
    config, inputs, _ = asked
    other = Path(shutil.copytree(inputs["features"], tmp_path / "other"))
    content = json.loads((other / "test.json").read_text(encoding="utf-8"))
    gone, content["names"][0] = content["names"][0], "another"
    (other / "test.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=f"^{gone}: .*has no features; leave it out$"):
        papers.run("video-qa", config, inputs | {"features": other})
