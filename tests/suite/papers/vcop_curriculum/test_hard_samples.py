"""The sample-based curriculum: what is recorded of a video, which ones are dropped, and what training goes on with."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from suite import backbones, checkpoints, recipe, training
from suite.errors import DamagedError, InputError
from suite.papers.vcop import order_network
from suite.papers.vcop_curriculum import hard_samples
from suite.papers.vcop_curriculum.hard_samples import HardSamples, Recorded
from suite.settings import Optimisation
from suite.video.clips import tuple_span
from tests.suite.sampling import Named, noise

LENGTHS = {f"v{index}": 16 + index for index in range(7)}
SPAN = {"clip_length": 4, "tuple_length": 3, "interval": 2}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return noise(tmp_path_factory.mktemp("store"), LENGTHS)


@pytest.fixture
def network():
    torch.manual_seed(1)
    built = order_network.ClipOrderNetwork(backbones.build("r3d", 4), tuple_length=3, hidden=8, dropout=0.5)
    # Running statistics that differ from the initial ones.
    built.train()(torch.randint(0, 256, (4, 3, 4, 32, 32, 3), dtype=torch.uint8))
    return built


def tuples(source, *, training=True, names=LENGTHS) -> order_network.ClipTuples:
    return order_network.ClipTuples(
        source, [Named(name) for name in names], LENGTHS, crop=32, seed=0, training=training, **SPAN
    )


def recorded(confidence: list[list[float]], right: list[list[bool]]) -> Recorded:
    names = tuple(f"v{index}" for index in range(len(confidence)))
    return Recorded(names, torch.tensor(confidence, dtype=torch.float64), torch.tensor(right))


# ---------------------------------------------------------------------------------------------------- the rule


def test_the_rule_by_hand():
    found = recorded(
        [
            [0.81, 0.95, 0.99],  # always right, always above
            [0.81, 0.80, 0.99],  # exactly the threshold is not above it
            [0.99, 0.99, 0.79],  # below once
            [0.05, 0.99, 0.99],  # wrong once
            [0.10, 0.20, 0.05],  # always wrong
        ],
        [[True] * 3, [True] * 3, [True] * 3, [False, True, True], [False] * 3],
    )
    assert found.easy(0.8).tolist() == [True, False, False, False, False]
    # A low threshold leaves the other condition: always right.
    assert found.easy(0.0).tolist() == [True, True, True, False, False]
    assert found.easy(1.0).tolist() == [False] * 5


probabilities = st.floats(0, 1, allow_nan=False)


@st.composite
def records(draw) -> Recorded:
    videos, epochs = draw(st.integers(1, 8)), draw(st.integers(1, 6))
    size = videos * epochs
    confidence = torch.tensor(draw(st.lists(probabilities, min_size=size, max_size=size)), dtype=torch.float64)
    right = torch.tensor(draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    names = tuple(f"v{index}" for index in range(videos))
    return Recorded(names, confidence.reshape(videos, epochs), right.reshape(videos, epochs))


@given(records(), probabilities)
def test_a_video_that_was_wrong_or_doubtful_once_is_never_dropped(found, threshold):
    for row, easy in enumerate(found.easy(threshold).tolist()):
        pairs = zip(found.right[row].tolist(), found.confidence[row].tolist(), strict=True)
        assert easy == all(right and value > threshold for right, value in pairs)


@given(records(), probabilities, st.randoms(use_true_random=False))
def test_the_order_of_the_epochs_does_not_matter(found, threshold, draw):
    order = list(range(found.right.shape[1]))
    draw.shuffle(order)
    shuffled = Recorded(found.names, found.confidence[:, order], found.right[:, order])
    assert torch.equal(found.easy(threshold), shuffled.easy(threshold))


@given(records(), probabilities, probabilities)
def test_a_higher_threshold_or_one_more_epoch_drops_no_other_video(found, one, other):
    low, high = sorted((one, other))
    assert not (found.easy(high) & ~found.easy(low)).any()
    fewer = Recorded(found.names, found.confidence[:, :-1], found.right[:, :-1])
    assert not (found.easy(low) & ~fewer.easy(low)).any()


# ---------------------------------------------------------------------------------------------------- recording


@pytest.mark.parametrize(("batch", "workers"), [(1, 0), (4, 0), (100, 0), (4, 1)])
def test_recording_equals_one_tuple_at_a_time(source, network, batch, workers):
    asked, seen = tuples(source), []
    found = hard_samples.record(
        network, asked, range(300, 303), batch, "cpu", lambda *at: seen.append(at), workers=workers
    )
    assert found.names == tuple(LENGTHS)
    assert found.confidence.shape == found.right.shape == (7, 3)
    network.eval()
    for index in range(7):
        for column, epoch in enumerate(range(300, 303)):
            clips, target = asked[epoch, index]
            with torch.no_grad():
                softmax = network(clips[None])[0].double().softmax(0)
            assert float(found.confidence[index, column]) == pytest.approx(float(softmax[target]), rel=1e-5)
            assert bool(found.right[index, column]) == (int(softmax.argmax()) == target)
    assert seen[-1] == (21, 21)


def test_recording_moves_nothing(source, network):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.train()
    hard_samples.record(network, tuples(source), range(2), 4, "cpu")
    assert network.training
    assert network.head.dropout.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_each_epoch_asks_about_other_tuples(source, network):
    found = hard_samples.record(network, tuples(source), range(4), 4, "cpu")
    assert all(len(set(row.tolist())) == 4 for row in found.confidence)
    again = hard_samples.record(network, tuples(source), [2, 0], 5, "cpu")
    torch.testing.assert_close(again.confidence, found.confidence[:, [2, 0]])


@pytest.mark.parametrize(("names", "epochs"), [([], range(3)), (LENGTHS, range(0))])
def test_nothing_to_record_is_said_in_one_line(source, network, names, epochs):
    with pytest.raises(InputError, match="no training video, or no epoch"):
        hard_samples.record(network, tuples(source, names=names), epochs, 4, "cpu")


@given(records())
def test_a_saved_record_loads_bit_for_bit(tmp_path_factory, found):
    path = tmp_path_factory.mktemp("record") / "softmax.json"
    found.save(path)
    loaded = Recorded.load(path)
    assert loaded.names == found.names
    assert torch.equal(loaded.confidence, found.confidence)
    assert torch.equal(loaded.right, found.right)
    assert [entry.name for entry in path.parent.iterdir()] == ["softmax.json"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[1, 2]",
        json.dumps({"names": ["a"], "confidence": [[0.5]], "right": [[True, False]]}),
        json.dumps({"names": ["a", "b"], "confidence": [[0.5]], "right": [[True]]}),
        json.dumps({"names": ["a"], "confidence": [0.5], "right": [True]}),
        json.dumps({"names": ["a"], "confidence": [["x"]], "right": [[True]]}),
    ],
)
def test_a_damaged_record_is_named(tmp_path, content):
    path = tmp_path / "softmax.json"
    path.write_text(content)
    with pytest.raises(DamagedError, match=f"^{re.escape(str(path))}: not "):
        Recorded.load(path)


# ---------------------------------------------------------------------------------------------------- what is left


def test_a_kept_video_is_shown_what_it_would_have_been_shown(source):
    everyone = tuples(source)
    left = HardSamples(everyone, torch.tensor([True, False, True, False, False, True, True]), 305)
    assert len(left) == 3
    assert [left.name(index) for index in range(3)] == ["v1", "v3", "v4"]
    for index, there in enumerate((1, 3, 4)):
        clips, target = left[2, index]
        expected, expected_target = everyone[307, there]
        assert torch.equal(clips, expected)
        assert target == expected_target


def test_dropping_nothing_leaves_all(source):
    left = HardSamples(tuples(source), torch.zeros(7, dtype=torch.bool), 0)
    assert [left.name(index) for index in range(len(left))] == list(LENGTHS)


def test_dropping_everything_is_an_error_with_a_remedy(source):
    with pytest.raises(InputError) as caught:
        HardSamples(tuples(source), torch.ones(7, dtype=torch.bool), 0)
    assert "all 7 training videos" in str(caught.value)
    assert "raise the threshold" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_judgement_of_other_videos_is_refused(source):
    with pytest.raises(ValueError, match="3 videos were judged, the samples have 7"):
        HardSamples(tuples(source), torch.zeros(3, dtype=torch.bool), 0)


def test_training_goes_on_with_the_hard_videos_alone(source, network, tmp_path):
    """The whole curriculum on seven videos: record, drop, train on; dropped videos are never read again."""
    everyone = tuples(source)
    found = hard_samples.record(network, everyone, range(10, 12), 4, "cpu")
    # A threshold between the videos, so that some are dropped whatever this untrained network says.
    found = Recorded(found.names, found.confidence, torch.ones_like(found.right))
    lowest = found.confidence.min(dim=1).values.sort().values
    easy = found.easy(float((lowest[3] + lowest[4]) / 2))
    assert int(easy.sum()) == 3
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    read: list[tuple[int, str]] = []

    class Watched(order_network.ClipTuples):
        def __getitem__(self, key):
            read.append((key[0], self.name(key[1])))
            return super().__getitem__(key)

    watched = Watched(source, [Named(name) for name in LENGTHS], LENGTHS, crop=32, seed=0, training=True, **SPAN)
    settings = Optimisation(batch=3, epochs=2, learning_rate=0.01, momentum=0.9, weight_decay=0.0, precision="fp32")
    result = training.fit(
        network,
        HardSamples(watched, easy, 12),
        tuples(source, training=False),
        settings,
        tmp_path,
        seed=0,
        device="cpu",
    )
    hard = {name for name, dropped in zip(LENGTHS, easy.tolist(), strict=True) if not dropped}
    assert sorted(read) == sorted((epoch, name) for epoch in (12, 13) for name in hard)
    assert result["steps"] == 4
    after = checkpoints.load(tmp_path / "last.safetensors")
    assert not torch.equal(after["backbone.conv1.conv.weight"], before["backbone.conv1.conv.weight"])


# ---------------------------------------------------------------------------------------------------- task-based


def test_an_easier_tasks_backbone_fits_a_harder_one_and_its_head_does_not(network):
    harder = order_network.ClipOrderNetwork(backbones.build("r3d", 4), tuple_length=4, hidden=8, dropout=0.5)
    prefix = "backbone."
    handed_on = {k.removeprefix(prefix): t for k, t in network.state_dict().items() if k.startswith(prefix)}
    harder.backbone.load_state_dict(handed_on)
    assert all(torch.equal(tensor, handed_on[name]) for name, tensor in harder.backbone.state_dict().items())
    # 6 pairs instead of 3, 24 orders instead of 6: the head cannot be handed on.
    assert harder.head.order.weight.shape == (24, 6 * 8)
    assert network.head.order.weight.shape == (6, 3 * 8)


# ---------------------------------------------------------------------------------------------------- the recipe


def settings(paper: str, scale: str) -> dict:
    return recipe.load(paper, scale).settings.model_dump(mode="json")


def without(pretraining: dict, *keys: str) -> dict:
    return {key: value for key, value in pretraining.items() if key not in keys}


@pytest.mark.parametrize("scale", recipe.SCALES)
def test_16_8_3_is_the_first_papers_pretraining(scale):
    first, this = settings("vcop", scale), settings("vcop-curriculum", scale)
    assert this["pretraining"]["16-8-3"] == first["pretraining"]["vcop"]
    # Nothing else that enters a stage may differ either; what runs by default may.
    assert without(this, "pretraining", "subset") == without(first, "pretraining", "subset")


@pytest.mark.parametrize("scale", recipe.SCALES)
def test_what_the_pretrainings_differ_in(scale):
    found = settings("vcop-curriculum", scale)["pretraining"]
    chain = {"16-8-3": None, "16-8-4": "16-8-3", "16-8-5": "16-8-4"}
    chain |= {"16-16-3": None, "16-16-4": "16-16-3", "16-16-5": "16-16-4"}
    for name, start in chain.items():
        assert found[name]["start"] == start
        assert found[name]["tuple_length"] == int(name[-1])
    differing = ("start", "tuple_length", "interval", "optimisation")
    assert len({json.dumps(without(found[name], *differing), sort_keys=True) for name in chain}) == 1
    optimised = [without(found[name]["optimisation"], "epochs") for name in chain]
    assert all(one == optimised[0] for one in optimised)
    scratch, fast = found["16-8-4-scratch"], found["16-8-4-scratch-fast"]
    assert scratch == found["16-8-4"] | {"start": None}
    assert fast == scratch | {"optimisation": scratch["optimisation"] | {"learning_rate": fast_rate(scratch)}}
    plain, sample = found["16-8-3"], found["16-8-3-sample"]
    task = {"pretext": "vcop_curriculum.sample_curriculum"}
    assert sample == plain | task | {"start": "16-8-3", "sample": sample["sample"]}
    assert (sample["sample"]["record_epochs"], sample["sample"]["threshold"]) == (5, 0.8)
    epochs = found["16-16-3"]["optimisation"] | {"epochs": 2 * found["16-16-3"]["optimisation"]["epochs"]}
    assert found["16-16-3-600ep"] == found["16-16-3"] | {"optimisation": epochs}


def fast_rate(pretraining: dict) -> float:
    return pytest.approx(10 * pretraining["optimisation"]["learning_rate"])


def test_the_papers_numbers():
    found = settings("vcop-curriculum", "paper")["pretraining"]
    names = ("16-8-3", "16-8-4", "16-8-5", "16-16-3", "16-16-4", "16-16-5")
    spans = [tuple_span(found[name]["tuple_length"], 16, found[name]["interval"]) for name in names]
    assert spans == [64, 88, 112, 80, 112, 144]
    assert {found[name]["optimisation"]["epochs"] for name in names} == {300}
    assert found["16-16-3-600ep"]["optimisation"]["epochs"] == 600
    assert found["16-8-3-sample"]["sample"] == {"record_epochs": 5, "threshold": 0.8, "more_epochs": 100}
    assert found["16-8-4-scratch-fast"]["optimisation"]["learning_rate"] == 0.01


def test_tuples_of_the_tiny_scale_fit_the_generated_videos():
    found = settings("vcop-curriculum", "tiny")
    length = found["video"]["clip_length"]
    names = ("16-8-3", "16-8-4", "16-8-5", "16-16-3", "16-16-4", "16-16-5")
    spans = [
        tuple_span(found["pretraining"][name]["tuple_length"], length, found["pretraining"][name]["interval"])
        for name in names
    ]
    # As the recipe's comment says; the longest generated video has 48 frames.
    assert spans == [32, 35, 40, 40, 38, 44]
    assert all(
        found["pretraining"][name]["interval"] > found["pretraining"][name.replace("16-16", "16-8")]["interval"]
        for name in names[3:]
    )


def test_every_network_that_the_tables_name_is_in_the_recipe():
    path = Path(__file__).parents[4] / "reference_tables" / "vcop-curriculum.toml"
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    named: set[str] = set()
    for table in tables["table"] + tables["figure"]:
        for row in table["rows"]:
            weights = row.get("weights", "random")
            named |= set(weights.values()) if isinstance(weights, dict) else {weights}
    found = set(settings("vcop-curriculum", "paper")["pretraining"])
    assert named - {"random"} <= found
    assert found - named <= {"16-8-4-scratch-fast"}
