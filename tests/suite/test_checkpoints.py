"""Checkpoints: what is saved comes back, what others saved is read with every key accounted for, and no code runs."""

import errno
import os
import pickle
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
import torch.nn.functional as F

from suite import backbones, checkpoints, recipe
from suite.errors import InputError
from suite.papers import srop, view_synthesis

WIDTH = 8


def trained(name: str, width: int = WIDTH) -> torch.nn.Module:
    """A network whose every entry differs from its initial value."""
    torch.manual_seed(5)
    network = backbones.build(name, width)
    network.train()
    for _ in range(2):
        network(torch.rand(4, 3, 8, 32, 32))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network.eval()


def authors_state(name: str, network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {checkpoints.vcop_name(name, key): tensor for key, tensor in network.state_dict().items()}


def authors_forward(name: str, state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The authors' network, written from the key names of their models and nothing of ours."""

    def bn(x, key):
        entries = [state[f"{key}.{entry}"] for entry in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *entries)

    def conv(x, key, kernel, stride):
        pad = tuple(side // 2 for side in kernel)
        if name == "r3d":
            return F.conv3d(x, state[f"{key}.temporal_spatial_conv.weight"], None, stride, pad)
        x = F.conv3d(x, state[f"{key}.spatial_conv.weight"], None, (1, *stride[1:]), (0, *pad[1:]))
        x = F.relu(bn(x, f"{key}.bn"))
        return F.conv3d(x, state[f"{key}.temporal_conv.weight"], None, (stride[0], 1, 1), (pad[0], 0, 0))

    if name == "c3d":
        for layer in ("1", "2", "3a", "3b", "4a", "4b", "5a", "5b"):
            if layer == "2":
                x = F.max_pool3d(x, (1, 2, 2))
            elif layer in ("3a", "4a", "5a"):
                x = F.max_pool3d(x, 2)
            x = F.conv3d(x, state[f"conv{layer}.weight"], state[f"conv{layer}.bias"], padding=1)
            x = F.relu(bn(x, f"bn{layer}"))
        return F.adaptive_avg_pool3d(x, 1).flatten(1)
    x = F.relu(bn(conv(x, "conv1", (3, 7, 7), (1, 2, 2)), "bn1"))
    for layer in ("conv2", "conv3", "conv4", "conv5"):
        stride = (1, 1, 1) if layer == "conv2" else (2, 2, 2)
        block = f"{layer}.block1"
        y = F.relu(bn(conv(x, f"{block}.conv1", (3, 3, 3), stride), f"{block}.bn1"))
        y = bn(conv(y, f"{block}.conv2", (3, 3, 3), (1, 1, 1)), f"{block}.bn2")
        if layer != "conv2":
            x = bn(conv(x, f"{block}.downsampleconv", (1, 1, 1), stride), f"{block}.downsamplebn")
        x = F.relu(x + y)
    return F.adaptive_avg_pool3d(x, 1).flatten(1)


def write(path: Path, state: dict, kind: str) -> Path:
    if kind == "safetensors":
        safetensors.torch.save_file({key: tensor.contiguous() for key, tensor in state.items()}, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    return path


@pytest.mark.parametrize("name", ["c3d", "r3d", "r2plus1d"])
def test_our_network_is_the_authors_under_other_names(name):
    network, clips = trained(name), torch.rand(2, 3, 16, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(network(clips), authors_forward(name, authors_state(name, network), clips))


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


def test_known_names_of_the_authors():
    names = {
        "c3d": {"conv3a.conv.bias": "conv3a.bias", "conv5b.bn.running_var": "bn5b.running_var"},
        "r3d": {
            "conv1.conv.weight": "conv1.temporal_spatial_conv.weight",
            "conv1.bn.bias": "bn1.bias",
            "conv3.shortcut_conv.weight": "conv3.block1.downsampleconv.temporal_spatial_conv.weight",
        },
        "r2plus1d": {
            "conv1.conv.bn.weight": "conv1.bn.weight",
            "conv1.bn.weight": "bn1.weight",
            "conv5.conv_b.temporal.weight": "conv5.block1.conv2.temporal_conv.weight",
            "conv4.shortcut_conv.bn.bias": "conv4.block1.downsampleconv.bn.bias",
            "conv4.shortcut_bn.bias": "conv4.block1.downsamplebn.bias",
        },
    }
    for backbone, pairs in names.items():
        assert {ours: checkpoints.vcop_name(backbone, ours) for ours in pairs} == pairs


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
    network = srop.network(trained(name), *pretraining(weights))
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


def test_half_precision_weights_become_float32(tmp_path):
    state = {key: t.half() if t.is_floating_point() else t for key, t in trained("c3d").state_dict().items()}
    imported = checkpoints.import_backbone(write(tmp_path / "a.pt", state, "zip"), "c3d", WIDTH)
    assert imported.state["conv1.conv.weight"].dtype == torch.float32
    assert imported.state["conv1.bn.num_batches_tracked"].dtype == torch.int64


def refused(path: Path, name: str = "r3d", width: int = WIDTH) -> str:
    """The one line with which an import is refused."""
    with pytest.raises(InputError) as caught:
        checkpoints.import_backbone(path, name, width)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < len(str(path)) + 250
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("layout", ["suite", "vcop"])
def test_a_faulty_key_is_named_as_the_file_has_it(tmp_path, layout):
    network = trained("r3d")
    good = network.state_dict() if layout == "suite" else authors_state("r3d", network)
    good = {f"module.{key}": tensor for key, tensor in good.items()}
    key = next(key for key in good if "conv4" in key and key.endswith("weight"))
    bare = key.removeprefix("module.")

    def message(state):
        return refused(write(tmp_path / "a.pt", state, "zip"))

    assert f"'{bare}' is missing, which r3d needs" in message({k: t for k, t in good.items() if k != key})
    assert "'module.conv9.weight' is no part of r3d" in message(good | {"module.conv9.weight": torch.rand(2)})
    assert "(and 1 more)" in message(good | {"module.x": torch.rand(2), "module.y": torch.rand(2)})
    wrong = message(good | {key: torch.rand(3, 4)})
    assert wrong == f"{key} has shape [3, 4], r3d at width 8 needs {list(good[key].shape)}"
    broken = good[key].clone()
    broken.view(-1)[3] = float("nan")
    assert message(good | {key: broken}).startswith(f"{key} holds NaN")
    assert "two sets of weights under one name" in message(good | {bare: good[key]})


@pytest.mark.parametrize("layout", ["suite", "vcop"])
def test_a_deeper_network_or_another_one_is_refused(tmp_path, layout):
    network = trained("r3d")
    state = network.state_dict() if layout == "suite" else authors_state("r3d", network)
    path = write(tmp_path / "a.pt", state, "zip")
    assert "r2plus1d" in refused(path, "r2plus1d")
    assert "c3d" in refused(path, "c3d")
    assert "needs [16, 3, 3, 7, 7]" in refused(path, "r3d", 16)
    deeper = {f"{key.replace('block1', 'blocks.0')}": tensor for key, tensor in authors_state("r3d", network).items()}
    assert "'conv2.blocks.0.bn1.bias' (and" in refused(write(path, authors_state("r3d", network) | deeper, "zip"))


def test_nothing_in_common_names_the_first_key(tmp_path):
    message = refused(write(tmp_path / "a.pt", {"stem.weight": torch.rand(2)}, "zip"))
    assert message.startswith("none of its 1 keys belongs to r3d (the first is 'stem.weight')")


class Bomb:
    """Creates a file when it is unpickled by anything that runs pickled code."""

    def __init__(self, victim: Path):
        self.victim = str(victim)

    def __reduce__(self):
        return open, (self.victim, "w")


@pytest.mark.parametrize("kind", ["pickle", "zip", "legacy", "wrapped"])
def test_pickled_code_is_refused_and_never_runs(tmp_path, kind):
    victim, path = tmp_path / "pwned", tmp_path / "a.pt"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Bomb(victim)))
    elif kind == "wrapped":
        torch.save({"state_dict": trained("r3d").state_dict(), "args": Bomb(victim)}, path)
    else:
        write(path, {"conv1.weight": torch.rand(2), "bomb": Bomb(victim)}, kind)
    assert "never executed" in refused(path)
    assert not victim.exists()
    # The file is a bomb indeed.
    if kind == "pickle":
        pickle.loads(path.read_bytes()).close()
    else:
        torch.load(path, weights_only=False)
    assert victim.exists()


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.9999])
def test_a_truncated_file_is_refused(tmp_path, kind, fraction):
    path = write(tmp_path / "a.pt", trained("r3d").state_dict(), kind)
    content = path.read_bytes()
    path.write_bytes(content[: int(fraction * len(content))])
    assert refused(path)


@pytest.mark.parametrize(
    "content", [b"", b"hello, this is no checkpoint\n", b"csomething\n", b"\x80\x02garbage", b"PK\x03\x04", bytes(64)]
)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    assert refused(path)


def test_a_folder_an_absent_file_and_other_content(tmp_path):
    assert "cannot be read (Is a directory)" in refused(tmp_path)
    assert "cannot be read (No such file or directory)" in refused(tmp_path / "absent.pt")
    path = tmp_path / "a.pt"
    torch.save([torch.rand(2)], path)
    assert "holds a list, not weights by name" in refused(path)
    torch.save({"a": 1.5, "b": torch.rand(2)}, path)
    assert "'a' is no tensor" in refused(path)
    torch.save({}, path)
    assert "holds no weights" in refused(path)


def test_saved_weights_come_back_with_their_metadata(tmp_path):
    network, path = trained("r2plus1d"), tmp_path / "best.safetensors"
    checkpoints.save(network.state_dict(), path, {"epoch": "3"})
    loaded = checkpoints.load(path)
    assert loaded.keys() == network.state_dict().keys()
    assert all(torch.equal(tensor, loaded[key]) for key, tensor in network.state_dict().items())
    with safetensors.safe_open(path, "pt") as file:
        assert file.metadata() == {"epoch": "3"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["best.safetensors"]


def test_saving_takes_tensors_in_any_memory_order(tmp_path):
    tensor = torch.rand(2, 3, 4, 5, 6).to(memory_format=torch.channels_last_3d).requires_grad_()
    checkpoints.save({"a": tensor, "b": torch.tensor(3)}, tmp_path / "a.safetensors", {})
    loaded = checkpoints.load(tmp_path / "a.safetensors")
    assert torch.equal(loaded["a"], tensor)
    assert loaded["b"] == 3


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "best.safetensors"
    checkpoints.save({"a": torch.ones(2)}, path, {})

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"best\.safetensors: cannot be written \(No space left on device\)"):
        checkpoints.save({"a": torch.zeros(2)}, path, {})
    assert checkpoints.load(path)["a"].tolist() == [1, 1]
    assert [entry.name for entry in tmp_path.iterdir()] == ["best.safetensors"]


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(InputError, match=r"cannot be written \(No such file or directory\)"):
        checkpoints.save({"a": torch.ones(1)}, tmp_path / "absent" / "a.safetensors", {})


def test_loading_a_damaged_or_absent_file_of_ours(tmp_path):
    path = tmp_path / "best.safetensors"
    with pytest.raises(InputError, match="no such checkpoint"):
        checkpoints.load(path)
    checkpoints.save({"a": torch.rand(100)}, path, {})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"best.safetensors: not a whole safetensors file .*; delete it"):
        checkpoints.load(path)
