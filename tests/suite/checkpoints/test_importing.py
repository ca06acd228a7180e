"""What others saved is found, with every key accounted for, whatever they put around it; what is none of it is refused."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torchvision.models import resnet18

from suite import backbones, checkpoints, recipe
from suite.backbones import resnet3d
from suite.errors import InputError
from suite.papers.srop import segment_order, view_synthesis
from tests.suite.checkpoints.made import WIDTH, authors_state, refused, trained, write


@pytest.mark.parametrize("name", ["c3d", "r3d", "r2plus1d"])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_a_pretrained_network_of_the_authors_comes_back_exactly(tmp_path, name, kind):
    network = trained(name)
    state = {f"base_network.{key}": tensor for key, tensor in authors_state(name, network).items()}
    state |= {
        "fc7.weight": torch.rand(4, 8),
        "fc7.bias": torch.rand(4),
        "fc8.weight": torch.rand(6, 12),
        "fc8.bias": torch.rand(6),
    }
    imported = checkpoints.import_backbone(write(tmp_path / "vcop.pt", state, kind), name, WIDTH)
    assert imported.layout == "vcop"
    assert imported.unused == dict.fromkeys(["fc7.weight", "fc7.bias", "fc8.weight", "fc8.bias"], "order head")
    fresh = backbones.build(name, WIDTH).eval()
    fresh.load_state_dict(imported.state, strict=True)
    clips = torch.rand(2, 3, 8, 32, 32)
    with torch.no_grad():
        assert torch.equal(fresh(clips), network(clips))
    assert all(torch.equal(tensor, imported.state[key]) for key, tensor in network.state_dict().items())


@pytest.mark.parametrize("name", ["c3d", "r3d", "r2plus1d"])
@pytest.mark.parametrize(
    ("layout", "prefix", "extra"),
    [
        ("suite", "", {}),
        ("suite", "backbone.", {"head.pair.weight": "pretext head", "head.order.bias": "pretext head"}),
        ("suite", "module.backbone.", {"module.classifier.weight": "classifier"}),
        ("vcop", "", {"linear.weight": "classifier", "linear.bias": "classifier"}),
        ("vcop", "module.", {"module.fc.weight": "classifier"}),
        ("vcop", "module.base_network.", {"module.fc7.weight": "order head"}),
        ("vcop", "base_network.module.", {"fc8.weight": "order head"}),
    ],
)
def test_prefixes_and_heads_are_accounted_for(tmp_path, name, layout, prefix, extra):
    network = trained(name)
    names = network.state_dict() if layout == "suite" else authors_state(name, network)
    state = {prefix + key: tensor for key, tensor in names.items()} | {key: torch.rand(2) for key in extra}
    imported = checkpoints.import_backbone(write(tmp_path / "a.pt", state, "zip"), name, WIDTH)
    assert (imported.layout, imported.unused) == (layout, extra)
    assert imported.state.keys() == network.state_dict().keys()
    assert all(torch.equal(tensor, imported.state[key]) for key, tensor in network.state_dict().items())


def pretraining(weights: str) -> tuple[dict, dict]:
    """What srop's tiny recipe says of a pretraining, and of its clips."""
    settings = recipe.load("srop", "tiny").settings
    return settings.pretraining[weights].model_dump(mode="json"), settings.video.model_dump(mode="json")


@pytest.mark.parametrize("weights", ["full", "order", "rate", "contrastive", "view-classification"])
@pytest.mark.parametrize("name", ["r3d", "s3dg"])
def test_a_network_of_segments_is_taken_for_its_query_encoder(tmp_path, name, weights):
    network = segment_order.network(trained(name), *pretraining(weights))
    if network.projection is not None:
        # The key encoder has gone another way.
        with torch.no_grad():
            for parameter in network.key_backbone.parameters():
                parameter.add_(1)
    checkpoints.save(network.state_dict(), tmp_path / "best.safetensors", {"epoch": "1"})
    imported = checkpoints.import_backbone(tmp_path / "best.safetensors", name, WIDTH)
    assert imported.layout == "suite"
    wanted = network.backbone.state_dict()
    assert imported.state.keys() == wanted.keys()
    assert all(torch.equal(tensor, imported.state[key]) for key, tensor in wanted.items())
    # Every other key is named with what it is.
    others = {key for key in network.state_dict() if not key.startswith("backbone.")}
    assert imported.unused.keys() == others
    kinds = {key.split(".")[0]: what for key, what in imported.unused.items()}
    heads = {"order_head", "rate_head", "projection", "key_projection"}
    expected = dict.fromkeys(heads, "pretext head") | dict.fromkeys(("queue", "oldest"), "queue of keys")
    assert kinds.items() <= (expected | {"key_backbone": "pretext network"}).items()
    assert ("queue" in kinds) == (weights not in ("order", "rate"))


def test_a_network_of_views_is_taken_for_the_one_that_compares(tmp_path):
    network = view_synthesis.network(trained("r2plus1d"), *pretraining("views"))
    path = write(tmp_path / "views.pt", network.state_dict(), "zip")
    imported = checkpoints.import_backbone(path, "r2plus1d", WIDTH)
    wanted = network.backbone.state_dict()
    assert all(torch.equal(tensor, imported.state[key]) for key, tensor in wanted.items())
    assert {key.split(".")[0] for key in imported.unused} == {"autoencoder", "flow"}
    assert set(imported.unused.values()) == {"pretext network"}


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_weights_inside_a_training_checkpoint(tmp_path, wrapper):
    network = trained("r3d")
    torch.save({"epoch": 7, wrapper: network.state_dict(), "optimizer": {"lr": 0.1}}, tmp_path / "a.pt")
    imported = checkpoints.import_backbone(tmp_path / "a.pt", "r3d", WIDTH)
    assert imported.unused == {"epoch": "not weights", "optimizer": "not weights"}


@pytest.mark.parametrize("layout", ["suite", "vcop"])
def test_what_differs_is_named_as_the_file_has_it(tmp_path, layout):
    network = trained("r3d")
    good = network.state_dict() if layout == "suite" else authors_state("r3d", network)
    good = {f"module.{key}": tensor for key, tensor in good.items()}
    weights = [key for key in good if "conv4" in key and "bn" not in key and key.endswith("weight")]
    key = weights[0]

    def message(state):
        found = refused(write(tmp_path / "a.pt", state, "zip"))
        assert found.startswith(f"not r3d at width 8 (nearest: layout {layout}, prefix 'module.'): ")
        return found

    assert f": '{key}' is missing; is it" in message({k: t for k, t in good.items() if k != key})
    assert ": 'module.conv9.weight' is left over; is it" in message(good | {"module.conv9.weight": torch.rand(2)})
    assert f": '{key}' has shape [3, 4], not {list(good[key].shape)}; is it" in message(good | {key: torch.rand(3, 4)})
    # One key of each kind before the second of any.
    state = {k: t for k, t in good.items() if "conv5" not in k} | {key: torch.rand(3, 4), "module.x": torch.rand(2)}
    found = message(state)
    assert [found.count(words) for words in ("has shape", "is missing", "is left over")] == [1, 1, 1]
    lost = sum("conv5" in k and not k.endswith("num_batches_tracked") for k in good)
    assert f" and {lost - 1} more; is it" in found
    # The same keys without the prefix are no other module: they stand in one row with the backbone's own.
    bare = key.removeprefix("module.")
    assert f"'{bare}' is left over" in message(good | {bare: torch.rand(3)})


@pytest.mark.parametrize("layout", ["suite", "vcop"])
def test_a_deeper_network_or_another_one_is_refused(tmp_path, layout):
    network = trained("r3d")
    state = network.state_dict() if layout == "suite" else authors_state("r3d", network)
    path = write(tmp_path / "a.pt", state, "zip")
    assert refused(path, "r2plus1d").startswith(f"not r2plus1d at width 8 (nearest: layout {layout}): ")
    assert refused(path, "c3d").startswith("not c3d at width 8 (nearest: ")
    first = next(iter(state))
    assert f": '{first}' has shape [8, 3, 3, 7, 7], not [16, 3, 3, 7, 7], " in refused(path, "r3d", 16)
    deeper = {f"{key.replace('block1', 'blocks.0')}": tensor for key, tensor in authors_state("r3d", network).items()}
    message = refused(write(path, authors_state("r3d", network) | deeper, "zip"))
    assert "'conv2.blocks.0.bn1.bias' is left over" in message


def test_nothing_in_common_names_three_keys(tmp_path):
    message = refused(write(tmp_path / "a.pt", {f"stem.{i}.weight": torch.rand(2) for i in range(9)}, "zip"))
    assert message.startswith(
        "none of its 9 keys belongs to r3d, by the names of suite or vcop "
        "('stem.0.weight', 'stem.1.weight', 'stem.2.weight')"
    )


# ---------------------------------------------------------------- habits of code bases


# What is put before every key, and what is put around all of them.
BEFORE = ("", "module.", "module.module.", "_orig_mod.", "_orig_mod.module.", "model.", "backbone.", "encoder.")
BEFORE += ("module.encoder_q.", "base_network.module.", "model.backbone.", "net.trunk.video.")
AROUND = ((), ("state_dict",), ("model",), ("model_state_dict",), ("model_state",), ("net",), ("model", "state_dict"))


def wrapped(weights: dict, around: tuple[str, ...]) -> dict:
    for name in reversed(around):
        weights = {"epoch": 7, name: weights, "optimizer": torch.optim.SGD([torch.rand(2)], 0.1).state_dict()}
    return weights


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The state dict of a backbone by its name, and a file to write."""
    states = {name: trained(name).state_dict() for name in ("c3d", "r3d", "r2plus1d")}
    for name in ("c3d5", "resnet18-3d", "s3dg"):
        torch.manual_seed(3)
        states[name] = backbones.build(name, WIDTH).state_dict()
    return states.get, tmp_path_factory.mktemp("habits") / "a.pt"


@given(
    name=st.sampled_from(backbones.NAMES),
    authors=st.booleans(),
    before=st.sampled_from(BEFORE)
    | st.lists(st.sampled_from("abcd"), max_size=4).map(lambda n: "".join(f"{p}." for p in n)),
    around=st.sampled_from(AROUND),
    counted=st.sampled_from(("counters", "one in a list", "none")),
    kind=st.sampled_from(("zip", "legacy")),
    order=st.randoms(use_true_random=False),
)
@hypothesis_settings(max_examples=60, deadline=None)
def test_any_habit_gives_the_state_that_was_saved(saved, name, authors, before, around, counted, kind, order):
    state_of, path = saved
    source = state_of(name)
    authors = authors and name in ("c3d", "r3d", "r2plus1d")
    named = {checkpoints.vcop_name(name, key) if authors else key: tensor for key, tensor in source.items()}
    counters = [key for key in named if key.endswith("num_batches_tracked")]
    for key in counters:
        if counted == "none":
            del named[key]
        elif counted == "one in a list":
            named[key] = named[key].reshape(1)
    shuffled = list(named.items())
    order.shuffle(shuffled)
    weights = {before + key: tensor for key, tensor in shuffled}
    write(path, wrapped(weights, around), kind)
    imported = checkpoints.import_backbone(path, name, WIDTH)
    assert imported.state.keys() == source.keys()
    for key, tensor in source.items():
        expected = torch.tensor(0) if counted == "none" and key.endswith("num_batches_tracked") else tensor
        assert torch.equal(imported.state[key], expected)
        assert imported.state[key].dtype == expected.dtype
    assert (imported.layout, imported.wrapper) == ("vcop" if authors else "suite", "/".join(around))
    assert imported.prefix == before
    assert imported.counters_absent == (len(counters) if counted == "none" else 0)
    assert imported.modules == ({"epoch": len(around), "optimizer": len(around)} if around else {})


def test_what_torch_compile_leaves(tmp_path):
    network = trained("r3d")
    parallel = torch.nn.DataParallel(torch.compile(network))
    imported = checkpoints.import_backbone(write(tmp_path / "a.pt", parallel.state_dict(), "zip"), "r3d", WIDTH)
    assert imported.prefix == "module._orig_mod."
    assert all(torch.equal(tensor, imported.state[key]) for key, tensor in network.state_dict().items())
    state = torch.compile(network).state_dict()
    assert checkpoints.import_backbone(write(tmp_path / "a.pt", state, "zip"), "r3d", WIDTH).prefix == "_orig_mod."


def moco(query: dict, key: dict) -> dict:
    """A file of MoCo's training: both encoders with their heads, and the queue."""
    state = {f"module.encoder_q.{name}": tensor for name, tensor in query.items()}
    state |= {f"module.encoder_k.{name}": tensor for name, tensor in key.items()}
    heads = {f"module.encoder_{which}.fc.{layer}.weight": torch.rand(2, 2) for which in "qk" for layer in (0, 2)}
    queue = {"module.queue": torch.rand(4, 8), "module.queue_ptr": torch.zeros(1, dtype=torch.long)}
    return {"epoch": 200, "arch": "r3d", "state_dict": state | heads | queue, "optimizer": {"state": {}}}


def test_of_momentum_contrast_the_encoder_of_queries_is_taken(tmp_path):
    query = trained("r3d").state_dict()
    key = {name: tensor + 1 for name, tensor in query.items()}
    imported = checkpoints.import_backbone(write(tmp_path / "a.pt", moco(query, key), "zip"), "r3d", WIDTH)
    assert (imported.wrapper, imported.prefix) == ("state_dict", "module.encoder_q.")
    assert all(torch.equal(tensor, imported.state[name]) for name, tensor in query.items())
    modules = {"epoch": 1, "arch": 1, "optimizer": 1, "fc": 2, "encoder_k": len(key) + 2, "queue": 1, "queue_ptr": 1}
    assert imported.modules == modules
    assert imported.unused["module.encoder_k.conv1.bn.bias"] == "slow copy"


@pytest.mark.parametrize(
    ("prefix", "others", "modules"),
    [
        ("module.", ("module.fc7.weight", "module.fc7.bias", "module.fc8.bias"), {"fc7": 2, "fc8": 1}),
        ("_orig_mod.backbone.", ("_orig_mod.head.a", "_orig_mod.projector.0.b"), {"head": 1, "projector": 1}),
        (
            "model.backbone.",
            ("model.fc.weight", "criterion.weight", "model.backbone.fc.bias"),
            {"fc": 2, "criterion": 1},
        ),
        ("module.base_network.", ("fc7.weight", "module.fc7.bias"), {"fc7": 2}),
    ],
)
def test_unused_keys_are_counted_by_the_module_they_are_of(tmp_path, prefix, others, modules):
    state = {prefix + key: tensor for key, tensor in trained("r3d").state_dict().items()}
    state |= {key: torch.rand(2) for key in others}
    imported = checkpoints.import_backbone(write(tmp_path / "a.pt", state, "zip"), "r3d", WIDTH)
    assert imported.modules == modules
    assert imported.unused.keys() == set(others)


def test_two_networks_that_both_fit_are_both_named(tmp_path):
    one = trained("r3d").state_dict()
    other = {key: tensor + 1 for key, tensor in one.items()}
    path = tmp_path / "a.pt"
    both = {f"{which}.{key}": tensor for which, net in (("rgb", one), ("flow", other)) for key, tensor in net.items()}
    message = "two networks fit, layout suite, prefix 'flow.' and layout suite, prefix 'rgb.'; keep one of them"
    assert refused(write(path, both, "zip")) == message
    message = refused(write(path, {"student": one, "teacher": other}, "zip"))
    assert message == "two networks fit, layout suite, under student and layout suite, under teacher; keep one of them"
    # In two layouts, with and without a prefix.
    named = {checkpoints.vcop_name("r3d", key): tensor for key, tensor in other.items()}
    mixed = {f"module.{key}": tensor for key, tensor in one.items()} | named
    assert "layout suite, prefix 'module.' and layout vcop" in refused(write(path, mixed, "zip"))
    # Of equal ones either is right.
    again = checkpoints.import_backbone(write(path, {"student": one, "teacher": one}, "zip"), "r3d", WIDTH)
    assert torch.equal(again.state["conv1.bn.bias"], one["conv1.bn.bias"])


# ---------------------------------------------------------------- values


def spoilt(tensor: torch.Tensor, number: float) -> torch.Tensor:
    tensor = tensor.clone()
    tensor.view(-1)[3] = number
    return tensor


VALUES = {
    "bool": (lambda t: t > 0, "is of type bool; weights are float16, bfloat16, float32 or float64"),
    "integers": (lambda t: t.long(), "is of type int64; weights are"),
    "bytes": (lambda t: t.to(torch.uint8), "is of type uint8; weights are"),
    "complex": (lambda t: t.to(torch.complex64), "is of type complex64; weights are"),
    "nan": (lambda t: spoilt(t, float("nan")), "holds NaN or infinite values"),
    "infinite": (lambda t: spoilt(t.half(), float("-inf")), "holds NaN or infinite values"),
    "too large": (lambda t: spoilt(t.double(), 1e300), "holds values beyond the range of type float32"),
    "meta": (lambda t: t.to("meta"), "is a meta tensor"),
    "sparse": (lambda t: t.to_sparse(), "is a sparse tensor"),
    "quantised": (lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), "is a quantised tensor"),
    "by channel": (
        lambda t: torch.quantize_per_channel(t, torch.ones(len(t)), torch.zeros(len(t)), 0, torch.qint8),
        "is a quantised tensor",
    ),
    "nested": (lambda t: torch.nested.nested_tensor([t[0], t[1, :2]]), "is a nested tensor"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("fault", VALUES)
@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_values_that_are_no_weights_are_refused_by_key(tmp_path, fault, kind):
    change, message = VALUES[fault]
    state, key = trained("c3d").state_dict(), "conv3a.conv.weight"
    state[key] = change(state[key])
    found = refused(write(tmp_path / "a.pt", {"state_dict": state}, kind), "c3d")
    assert found.startswith(f"'{key}' {message}")


@pytest.mark.parametrize("kind", ["zip", "safetensors"])
@pytest.mark.parametrize("dtype", [torch.bool, torch.complex64, torch.float8_e5m2, torch.uint16, torch.int32])
def test_other_types_of_numbers_are_refused_by_key(tmp_path, dtype, kind):
    state, key = trained("c3d").state_dict(), "conv3a.conv.weight"
    state[key] = state[key].to(dtype)
    found = refused(write(tmp_path / "a.pt", state, kind), "c3d")
    assert found.startswith(f"'{key}' is of type {str(dtype).removeprefix('torch.')}; ")


def test_variances_are_not_negative(tmp_path):
    state = trained("c3d").state_dict()
    state["conv2.bn.running_var"][3] = -1e-9
    found = refused(write(tmp_path / "a.pt", state, "zip"), "c3d")
    assert found.startswith("'conv2.bn.running_var' holds negative variances")
    state["conv2.bn.running_var"][3] = 0
    assert checkpoints.import_backbone(write(tmp_path / "a.pt", state, "zip"), "c3d", WIDTH)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_of_any_precision_become_float32(tmp_path, dtype):
    source = trained("c3d").state_dict()
    # Counters too, as a conversion of all tensors leaves them.
    state = {key: tensor.to(dtype) for key, tensor in source.items()}
    imported = checkpoints.import_backbone(write(tmp_path / "a.pt", state, "zip"), "c3d", WIDTH)
    for key, tensor in imported.state.items():
        assert torch.equal(tensor, state[key].to(source[key].dtype))
        assert tensor.dtype == source[key].dtype


@pytest.mark.parametrize("key", [0, (1, 2), b"conv1", 1.5, None, True])
@pytest.mark.parametrize("around", [(), ("state_dict",)])
def test_keys_that_are_no_names(tmp_path, key, around):
    path = write(tmp_path / "a.pt", wrapped({key: torch.rand(2)}, around), "zip")
    assert refused(path) == f"key {key!r} is no name; save model.state_dict()"


def test_keys_from_hell_stay_in_one_short_line(tmp_path):
    state = trained("r3d").state_dict()
    for key in ("a\nb", "\x1b[31m", "x" * 100_000, "." * 1000, "é\udc80"):
        refused(write(tmp_path / "a.pt", state | {key: torch.rand(1)}, "zip"))
        refused(write(tmp_path / "a.pt", {key: torch.rand(1)}, "zip"))


# ---------------------------------------------------------------- the cases in shared/


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("checkpoint-compile-prefix/compile.pt", ("suite", "_orig_mod.", 0)),
        ("checkpoint-without-num_batches_tracked/nonbt_vcop.pt", ("vcop", "base_network.", 12)),
        ("checkpoint-with-int-keys/int.pt", "key 0 is no name; save model.state_dict()"),
    ],
)
def test_files_made_after_public_bug_reports(case, expected):
    path = Path(__file__).parents[4] / "shared" / "cases" / case
    if not path.exists():
        pytest.skip(f"no shared/cases/{case}")
    if isinstance(expected, str):
        assert refused(path, "r3d", 16) == expected
    else:
        imported = checkpoints.import_backbone(path, "r3d", 16)
        assert (imported.layout, imported.prefix, imported.counters_absent) == expected


# ---------------------------------------------------------------- ImageNet


@pytest.fixture(scope="module")
def imagenet_like() -> torch.nn.Module:
    torch.manual_seed(2)
    return resnet18()


def test_inflation_reads_torchvisions_files(tmp_path, imagenet_like):
    path = tmp_path / "resnet18-f37072fd.pth"
    # The published files hold no counters.
    state = {n: t for n, t in imagenet_like.state_dict().items() if not n.endswith("num_batches_tracked")}
    torch.save(state, path)
    inflated = checkpoints.import_imagenet(path)
    resnet3d.ResNet3D().load_state_dict(inflated, strict=True)
    kernel, wide = state["layer2.0.downsample.0.weight"], inflated["conv3.0.shortcut_conv.weight"]
    assert torch.equal(wide[:, :, 0], kernel)
    kernel, wide = state["conv1.weight"], inflated["conv1.conv.weight"]
    torch.testing.assert_close(wide.sum(2), kernel)
    assert (wide == wide[:, :, :1]).all()
    assert torch.equal(inflated["conv5.1.bn_b.running_var"], state["layer4.1.bn2.running_var"])


def test_other_files_are_no_imagenet_weights(tmp_path, imagenet_like):
    with pytest.raises(InputError, match=r"absent\.pth: cannot be read \(No such file"):
        checkpoints.import_imagenet(tmp_path / "absent.pth")
    path = tmp_path / "weights.pth"
    state = imagenet_like.state_dict()
    for content, message in (
        ([1, 2], "holds a list, not weights by name"),
        ({0: torch.rand(2)}, "key 0 is no name"),
        ({n: t for n, t in state.items() if n != "layer3.0.bn1.bias"}, "layer3.0.bn1.bias is missing"),
        (state | {"layer1.2.conv1.weight": torch.zeros(1)}, "layer1.2.conv1.weight is no part of a ResNet-18"),
        (state | {"conv1.weight": torch.zeros(8, 3, 7, 7)}, r"conv1.weight has shape \[8, 3, 7, 7\]"),
        (state | {"conv1.weight": state["conv1.weight"] > 0}, "'conv1.weight' is of type bool"),
        (state | {"bn1.bias": state["bn1.bias"] / 0}, "'bn1.bias' holds NaN"),
    ):
        torch.save(content, path)
        with pytest.raises(InputError, match=message):
            checkpoints.import_imagenet(path)
