"""The regression slices on small generated datasets: what they read off, what they notice, and that no processor moves it."""

import json
import os
import subprocess
import sys
from collections import Counter
from itertools import accumulate, pairwise, product
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.judging import golden
from suite import backbones, datasets, recipe, regression
from suite.datasets import activitynet_qa, aslan, synthetic
from suite.errors import InputError
from suite.evaluation.question_answering import vocabulary
from suite.papers.mas import statistics
from suite.papers.srop import segment_clips
from suite.papers.vcop import order_network
from suite.papers.vcop_curriculum import hard_samples
from suite.regression import generated, pretexts
from suite.regression import mas as mas_slice
from suite.regression import vcop as vcop_slice
from suite.regression import vcop_curriculum as curriculum_slice
from suite.regression.numbers import FLOAT32
from suite.stages import Job, Runtime
from suite.video import decode, transforms

ROOT = Path(__file__).parents[2]
PAPERS = ("vcop", "mas", "skip-clip", "vcop-curriculum", "srop")
SETTINGS = {paper: recipe.load(paper, "tiny").settings for paper in PAPERS}


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """Two classes of each generated dataset; all of ASLAN, whose folds need them, and of ActivityNet-QA, which has none."""
    found = {}
    for name in dict.fromkeys(name for paper in PAPERS for name in regression.datasets(paper)):
        found[name] = tmp_path_factory.mktemp(name)
        size = SETTINGS["vcop"].synthetic
        settings = {
            "height": size.height,
            "width": size.width,
            "classes": 0 if name in ("aslan", "activitynet-qa") else 2,
        }
        synthetic.generate(name, found[name], settings, lambda done, total: None)
    return found


def job(roots, folder, part: str, paper: str = "vcop") -> Job:
    settings = SETTINGS[paper].model_dump(mode="json", exclude_unset=True)
    config = {"paper": paper, "part": part, "seed": 0, "settings": settings}
    return Job("regression", config, {}, roots, folder, Runtime())


@pytest.fixture(scope="module")
def exact(roots, tmp_path_factory):
    """Exact numbers of each later paper's data part."""
    return {paper: numbers(roots, tmp_path_factory.mktemp(paper), "data", paper)["exact"] for paper in PAPERS[1:]}


def numbers(roots, folder, part: str, paper: str) -> dict:
    """Numbers of a part by kind, each of which can be written as a golden number."""
    facts = regression.run(job(roots, folder, part, paper))["facts"]
    golden.Golden(paper=paper, exact=facts["exact"], near=facts["near"])
    return facts


@pytest.fixture(scope="module")
def questions(roots, tmp_path_factory):
    """Numbers of the curricula's part about questions, by kind."""
    return numbers(roots, tmp_path_factory.mktemp("questions"), "questions", "vcop-curriculum")


def test_a_painted_sample_tells_which_frames_and_crops_were_drawn():
    video = datasets.Video("a.avi", "a.avi", 0, "a")
    span = {"clip_length": 4, "tuple_length": 3, "interval": 2}
    draws = {"crop": 5, "seed": 3, "training": True}
    tuples = order_network.ClipTuples(generated.Painted(9, 12), [video], {"a.avi": 40}, **span, **draws)
    for epoch in range(20):
        presented, target = tuples[epoch, 0]
        order = order_network.orders(3)[target]
        corners = [generated.corner(clip) for clip in presented]
        # Clip i of the tuple starts 6 i frames after the first one.
        assert len({frame - 6 * place for (frame, _, _), place in zip(corners, order, strict=True)}) == 1
        for clip, (frame, top, left) in zip(presented, corners, strict=True):
            assert clip[:, 0, 0, 0].tolist() == [frame, frame + 1, frame + 2, frame + 3]
            assert clip[2, :, 3, 1].tolist() == [top + row for row in range(5)]
            assert clip[1, 4, :, 2].tolist() == [left + column for column in range(5)]


def test_fixed_weights_are_those_of_numpy_and_of_nothing_else():
    draw = np.random.Generator(np.random.PCG64(11))
    torch.manual_seed(1)
    first = pretexts.fix_weights(backbones.build("r3d", 4), 11).state_dict()
    torch.manual_seed(2)
    second = pretexts.fix_weights(backbones.build("r3d", 4), 11).state_dict()
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
    for name in vcop_slice.DATASETS:
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
    monkeypatch.setattr(vcop_slice, "EPOCHS", 1)
    trained = regression.run(job(roots, tmp_path, "trained"))["facts"]["trained"]
    assert {name: found["chance"] for name, found in trained.items()} == {
        "order-accuracy/r3d": 100 / 6,
        "video-retrieval-top1/r3d": 50,
        "video-retrieval-gain/r3d": 0,
    }
    assert all(-100 <= found["value"] <= 100 for found in trained.values())


def test_a_paper_without_a_slice_is_refused():
    for asked in (regression.parts, regression.datasets):
        with pytest.raises(InputError, match="no regression slice for paper 'vcopp'; there are slices for: vcop, mas"):
            asked("vcopp")


@pytest.mark.parametrize("paper", PAPERS)
def test_a_slice_is_of_a_paper_with_a_recipe_and_its_parts_come_longest_first(paper):
    assert paper in recipe.papers()
    costs = list(regression.parts(paper).values())
    assert costs == sorted(costs, reverse=True)
    assert set(regression.datasets(paper)) <= set(datasets.names())


# ------------------------------------------------------------------------------------------------ mas


def test_mas_says_what_the_files_say(exact, roots):
    exact = exact["mas"]
    for name in mas_slice.DATASETS:
        dataset = datasets.load(name, roots[name])
        assert exact[f"fingerprint/{name}"] == dataset.fingerprint()
        assert exact[f"counts/{name}/decoded"] == len(dataset.videos())
    assert exact["counts/kinetics400/missing"] == 2 * 3
    assert exact["counts/aslan/pairs-of-fold"] == [len(fold) for fold in aslan.pairs(roots["aslan"])]
    # 27 labels in two branches of three layers, on the convolutions (authors' code: 30M in all).
    branch = 4096 * 2048 + 2048 + 2048 * 2048 + 2048
    labels = 2049 * 14 + 2049 * 13
    assert exact["parameters/paper/joint"] == exact["parameters/paper/c3d5"] + 2 * branch + labels


def test_painted_flow_tells_how_a_clip_was_cut_and_mirrored(exact):
    rows = {name: row for name, row in exact["mas"].items() if name.startswith("clips/")}
    assert len(rows) == 12
    mirrored = 0
    for name, (start, top, left, right, u, v) in rows.items():
        assert start % SETTINGS["mas"].video.clip_length == 0
        # The flow's corner is the clip's; what moves to the right moves to the left in the mirror.
        assert v == top
        assert (u, right - left) in {(left, 31), (-left, -31)}
        mirrored += right < left
        assert name.startswith("clips/epoch") or right > left
    assert 0 < mirrored < 8


def test_flow_by_the_formula_is_whole_and_its_labels_are_far_from_ties(monkeypatch):
    side, length = SETTINGS["mas"].video.crop, SETTINGS["mas"].video.clip_length
    starts = range(0, mas_slice.APART * mas_slice.CLIPS, mas_slice.APART)
    waves = mas_slice.Waves(side, side)
    flow = torch.stack([waves.flows("", range(start, start + length - 1)) for start in starts])
    assert flow.shape == (mas_slice.CLIPS, length - 1, 2, side, side)
    assert ((8 * flow).frac() == 0).all()
    assert not (flow[:, 1:] == flow[:, :-1]).flatten(2).all(2).any()
    gaps, decide = [], statistics._first_largest

    def watched(values, *tie):
        first, second = values.double().topk(2).values.unbind(-1)
        gaps.append(((first - second) / first).min().item())
        return decide(values, *tie)

    monkeypatch.setattr(statistics, "_first_largest", watched)
    labels = statistics.motion_labels(flow)
    # Where and which way in three patterns, and the frame; rounding is 1e-7 at most.
    assert len(gaps) >= 7
    assert min(gaps) > 1e-3
    assert len(labels.unique(dim=0)) == mas_slice.CLIPS


# ------------------------------------------------------------------------------------------------ vcop-curriculum


def test_the_curricula_follow_the_papers_table(exact):
    exact = exact["vcop-curriculum"]
    for name, (length, clips, interval, span, orders) in (
        (name, row) for name, row in exact.items() if name.startswith("tuples-of/")
    ):
        assert span == sum([length, interval] * clips) - interval
        assert orders == {3: 6, 4: 24, 5: 120}[clips]
        if name.startswith("tuples-of/paper"):
            assert [length, interval, clips] == [int(n) for n in name.split("/")[-1].split("-")[:3]]
    for name in curriculum_slice.NETWORKS:
        # "All features are 9216-dimensional" (Table IV).
        assert exact[f"layer-features/paper/{name}"] == [9216] * 5
    learnt = [exact[f"parameters/paper/r3d-learnt-from-conv{stage}"] for stage in range(1, 6)]
    assert all(more > fewer for more, fewer in pairwise(learnt))


def test_easy_videos_by_hand(exact):
    exact, softmax = exact["vcop-curriculum"], curriculum_slice.SOFTMAX
    for threshold in (0.0, 0.5, 0.8):
        expected = [int(all(value > max(threshold, 0.25) for value in row)) for row in softmax]
        assert exact[f"easy-videos/above-{threshold}"] == expected
    assert exact["hard-videos/kept"] == [index for index, row in enumerate(softmax) if min(row) <= 0.8]


def test_questions_are_those_of_the_files(questions, roots):
    exact = questions["exact"]
    listed = activitynet_qa.questions(roots["activitynet-qa"])
    for part, asked in listed.items():
        # A question of each type about each video.
        assert exact[f"questions/{part}/of-type"] == [len({question.video for question in asked})] * 9
    words = Counter(word for question in listed["train"] for word in question.text.split())
    assert exact["vocabulary/size"] == 2 + len(words)
    assert exact["vocabulary/counts"] == [0, 0, *sorted(words.values(), reverse=True)]
    # "man", "'s" and "t-shirt" are asked for nowhere: three times the unknown word.
    assert exact["vocabulary/question0"][-3:] == [1, 1, 1]
    assert 1 not in exact["vocabulary/question0"][:4]
    assert exact["answers/size"] == len({question.answer for question in listed["train"]})


def test_most_frequent_answers_by_hand(questions, roots):
    exact, listed = questions["exact"], activitynet_qa.questions(roots["activitynet-qa"])
    known: dict[int, list[str]] = {}
    for question in listed["train"]:
        known.setdefault(question.type, []).append(question.answer)
    best = {kind: min(answers, key=lambda answer: (-answers.count(answer), answer)) for kind, answers in known.items()}
    for kind, name in enumerate(activitynet_qa.TYPES):
        asked = [question.answer for question in listed["test"] if question.type == kind]
        assert exact[f"most-frequent-of-type/{name}"] == [asked.count(best[kind]), len(asked)]
    for name in ("most-frequent", "most-frequent-of-type"):
        of_types = [exact[f"{name}/{kind}"] for kind in activitynet_qa.TYPES]
        assert exact[f"{name}/all"] == [sum(column) for column in zip(*of_types, strict=True)]


def test_a_fresh_network_knows_no_answer_but_its_attention_is_its_own(questions):
    near = {name.removeprefix("questions/"): number["value"] for name, number in questions["near"].items()}
    # Even guessing among the answers, to a tenth.
    even = np.log(questions["exact"]["answers/size"])
    assert near["video/loss"] == pytest.approx(even, rel=0.1)
    assert near["question-only/loss"] == pytest.approx(even, rel=0.1)
    weights = [near[f"attention/clip{place}"] for place in range(3)]
    assert 0 < min(weights) < max(weights) < 1
    assert 1 / SETTINGS["vcop-curriculum"].question_answering.clips < near["attention/largest"] < 0.5


# ------------------------------------------------------------------------------------------------ srop


def divisions(total: int, parts: int, least: int) -> list[tuple[int, ...]]:
    """Every way to write a number as so many parts of at least `least`."""
    return [sizes for sizes in product(range(least, total + 1), repeat=parts) if sum(sizes) == total]


def on_the_timeline(frames, lengths, rates, order) -> bool:
    """Whether frames seen are those of segments put in that order, each of which goes on by its rate without a gap."""
    seen = order_network.orders(len(rates))[order]
    ends = [0, *accumulate(lengths)]
    pieces = {segment: frames[ends[place] : ends[place + 1]] for place, segment in enumerate(seen)}
    rate_of = dict(zip(seen, rates, strict=True))
    expected = pieces[0][0]
    for segment in range(len(rates)):
        for frame in pieces[segment]:
            if frame != expected:
                return False
            expected += rate_of[segment]
    return True


def test_segments_follow_the_timeline_at_their_rates(exact):
    rows = {name: row for name, row in exact["srop"].items() if name.startswith("segments/")}
    assert len(rows) == 8
    for name, row in rows.items():
        frames, lengths, rates, order = row[:16], row[16:19], row[19:22], row[22]
        video = int(name.split("/")[1].split("-")[0])
        assert (sum(lengths), min(lengths) >= 3, set(rates) <= set(range(1, 9))) == (16, True, True)
        if video < 16:
            assert (set(rates), set(frames)) == ({1}, set(range(video)))
        else:
            assert on_the_timeline(frames, lengths, rates, order)
            assert 0 <= min(frames) <= max(frames) < video


def test_srops_samples_show_the_segments_that_are_to_be_predicted(exact):
    shape = {name: SETTINGS["srop"].pretraining[name] for name in ("full", "view-n5")}
    rows = {name: row for name, row in exact["srop"].items() if name.startswith("samples/")}
    assert len(rows) == 18
    mirrored = 0
    for name, (order, *row) in rows.items():
        chosen = shape[name.split("/")[1]]
        rates, query, second = row[: chosen.segments], row[chosen.segments : -11], row[-11:]
        ways = divisions(8, chosen.segments, chosen.shortest)
        assert any(on_the_timeline(query[:8], lengths, rates, order) for lengths in ways)
        for *_, left, right in (query, second):
            assert abs(right - left) == 31
            mirrored += right < left
            assert "/epoch" in name or right > left
        # The second clip is drawn by itself.
        assert query[:8] != second[:8]
    assert 0 < mirrored < 24


def test_srops_networks_add_up(exact):
    exact = exact["srop"]
    heads = {
        "order": 512 * 512 + 512 + 512 * 6 + 6,
        "rate": 512 * 3 + 3,
        "contrastive": 512 * 512 + 512 + 512 * 128 + 128,
    }
    backbone, every, learnt = exact["parameters/paper/r2plus1d"]
    assert learnt == backbone + sum(heads.values())
    # The key encoder.
    assert every == learnt + backbone + heads["contrastive"]
    assert exact["parameters/paper/order"] == backbone + heads["order"]
    assert exact["parameters/paper/order-rate"] == backbone + heads["order"] + heads["rate"]
    assert exact["parameters/paper/contrastive"] == 2 * (backbone + heads["contrastive"])
    # Five segments have 120 orders; rates from 1 to 8 are as many classes of each of three segments.
    assert exact["parameters/paper/view-n5"] - every == 513 * (120 - 6) + 513 * (5 - 3)
    assert exact["parameters/paper/view-classification"] - every == 513 * 3 * (8 - 1)


def test_parts_in_another_order_are_alike_for_shuffle_similarity_alone(roots, tmp_path):
    near = numbers(roots, tmp_path, "data", "srop")["near"]
    logits = {
        name: [[near[f"similarity/{name}/query{row}-{place}"]["value"] for place in range(4)] for row in range(2)]
        for name in ("cosine", "shuffle", "exact-shuffle")
    }
    assert max(logits["shuffle"][0]) == logits["shuffle"][0][0] == logits["exact-shuffle"][0][0]
    assert logits["shuffle"][0][0] - max(logits["shuffle"][0][1:]) > 10
    # A similarity of 1 would be 14.
    assert logits["cosine"][0][0] < 8 < 1 / 0.07
    for greedy, best in zip(np.ravel(logits["shuffle"]), np.ravel(logits["exact-shuffle"]), strict=True):
        assert greedy <= best + 1e-12
    for name, rows in logits.items():
        info_nce = np.mean([np.log(np.exp(np.subtract(row, row[0])).sum()) for row in rows])
        assert near[f"similarity/{name}/info-nce"]["value"] == pytest.approx(info_nce, rel=1e-9)


def test_srops_queue_holds_a_key_of_every_sample_of_the_steps(roots, tmp_path):
    facts = numbers(roots, tmp_path, "steps", "srop")
    assert facts["exact"]["queue/next-place"] == pretexts.STEPS * pretexts.DOUBLE_BATCH
    # Mean absolute value of unit vectors of 128 values: at most sqrt(1 / 128).
    assert 0.03 < facts["near"]["float64-queue"]["value"] <= 128**-0.5
    assert facts["near"]["first-step-loss/order_loss"]["value"] == pytest.approx(np.log(6), rel=0.2)


# ------------------------------------------------------------------------------------------------ skip-clip


def test_skip_clip_samples_run_forwards_or_backwards_over_the_layout(exact):
    exact, chosen = exact["skip-clip"], SETTINGS["skip-clip"].pretraining["skip-clip"]
    rows = {name: row for name, row in exact.items() if name.startswith("samples/skip-clip/")}
    backwards = 0
    for name, row in rows.items():
        first, last, *targets, _top, left, right = row
        way = 1 if last > first else -1
        assert last - first == way * (SETTINGS["skip-clip"].video.clip_length - 1)
        assert targets == [last + way * chosen.rate * step for step in range(1, chosen.targets + 1)]
        assert abs(right - left) == round(0.875 * 48) - 1
        assert "epoch" in name or (way, right > left) == (1, True)
        backwards += way < 0
    assert 0 < backwards < 6
    assert exact["layout/paper/skip-clip"][0] == 48
    assert exact["maps/paper/skip-clip"] == [512, 7, 7] * 2


# ------------------------------------------------------------------------------------------------ what is noticed


def smallest(values, tie=statistics.TIE):
    return values.argmin(-1)


def at_or_above(recorded, threshold):
    return (recorded.right & (recorded.confidence >= threshold)).all(dim=1)


def unmoved(clips):
    return clips


def all_ones(draw, steps, most, max_rate):
    return [1] * len(steps)


MUTANTS = {
    "labels take the smallest": (statistics, "_first_largest", smallest, "mas", "labels/"),
    "clips are not mirrored": (transforms, "mirrored", unmoved, "mas", "clips/epoch"),
    "a threshold is met by its own value": (hard_samples.Recorded, "easy", at_or_above, "vcop-curriculum", "easy-"),
    "orders are numbered from the end": (
        order_network,
        "orders",
        lambda clips, orders=order_network.orders: orders(clips)[::-1],
        "vcop-curriculum",
        "tuples/",
    ),
    "frames are not mirrored": (transforms, "mirrored", unmoved, "skip-clip", "samples/skip-clip/epoch"),
    "every rate is 1": (segment_clips, "_fitting_rates", all_ones, "srop", "segments/"),
    "segments are not mirrored": (transforms, "mirrored", unmoved, "srop", "samples/full/epoch"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_changed_method_changes_exact_numbers(name, exact, roots, tmp_path, monkeypatch):
    home, function, mutant, paper, numbers = MUTANTS[name]
    monkeypatch.setattr(home, function, mutant)
    found = regression.run(job(roots, tmp_path, "data", paper))["facts"]["exact"]
    assert found.keys() == exact[paper].keys()
    changed = {key for key in found if found[key] != exact[paper][key]}
    assert any(key.startswith(numbers) for key in changed)
    # What has nothing to do with it stays: the slice is the same each time.
    assert len(changed) < len(found) / 2
    assert not any(key.startswith(("recipe-hash", "fingerprint", "parameters")) for key in changed)


def test_a_word_that_is_split_otherwise_changes_the_words_and_no_count(questions, roots, tmp_path, monkeypatch):
    monkeypatch.setattr(vocabulary, "words", lambda text: text.lower().split())
    found = numbers(roots, tmp_path, "questions", "vcop-curriculum")["exact"]
    changed = {key for key in found if found[key] != questions["exact"][key]}
    # The generated questions hold nothing but words and blanks; the first question here does.
    assert changed == {"vocabulary/question0"}


# ------------------------------------------------------------------------------------------------ instruction sets

# Computes one network's part of VCOP's slice and parts of the others, narrow, given the datasets' folders and one to write into.
COMPUTE = """
import json, sys
from pathlib import Path
import torch
from suite import recipe, regression
from suite.regression import generated, vcop
from suite.stages import Job, Runtime
torch.set_num_threads(1)
roots, folder = {name: Path(path) for name, path in json.loads(sys.argv[1]).items()}, Path(sys.argv[2])
settings = recipe.load("vcop", "tiny").settings.model_copy(update={"width": 8})
data = generated.Native(Job("", {}, {}, roots, folder, Runtime()), "ucf101", settings)
counted, numbers = vcop._evaluated("r3d", data, settings)
found = [counted, numbers, vcop.order_steps("r3d", data, settings, "vcop")]
PARTS = {
    "skip-clip": ("evaluation", "steps"),
    "mas": ("steps",),
    "vcop-curriculum": ("evaluation", "questions"),
    "srop": ("evaluation", "steps"),
}
for paper, part in ((paper, part) for paper, parts in PARTS.items() for part in parts):
    own = folder / f"{paper}-{part}"
    own.mkdir()
    settings = recipe.load(paper, "tiny").settings.model_dump(mode="json", exclude_unset=True) | {"width": 8}
    config = {"paper": paper, "part": part, "seed": 0, "settings": settings}
    facts = regression.run(Job("regression", config, {}, roots, own, Runtime()))["facts"]
    found[0] |= {f"{paper}/{name}": number for name, number in facts["exact"].items()}
    found[2] |= {f"{paper}/{name}": number for name, number in facts["near"].items()}
print(json.dumps(found))
"""


def computed(roots: dict[str, Path], folder: Path, switches: dict[str, str]) -> subprocess.Popen:
    folder.mkdir()
    command = [
        sys.executable,
        "-c",
        COMPUTE,
        json.dumps({name: str(path) for name, path in roots.items()}),
        str(folder),
    ]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | switches, stdout=subprocess.PIPE, text=True)


def test_instruction_sets_move_no_exact_number_and_near_ones_within_tolerance(roots, tmp_path):
    new = computed(roots, tmp_path / "new", {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"})
    old = computed(roots, tmp_path / "old", {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"})
    (counted, single, near), expected = (json.loads(process.communicate()[0]) for process in (new, old))
    assert counted["clip-retrieval/total"] > counted["clip-retrieval/top1"] > 0
    assert counted == expected[0]
    assert single == pytest.approx(expected[1], rel=FLOAT32 / 10, abs=0)
    assert near.keys() == expected[2].keys()
    for name, number in near.items():
        assert number["value"] == pytest.approx(expected[2][name]["value"], rel=number["tolerance"] / 10, abs=0), name
