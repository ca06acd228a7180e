"""A network that is asked answers as itself, sample by sample, and is afterwards as it was."""

import contextlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import Dataset

from suite import backbones
from suite.errors import InputError
from suite.evaluation.asking import ask, frozen, one_progress


class Drawn(Dataset):
    """Seven samples of four numbers each, others in every epoch, and a number that goes with each."""

    def __len__(self) -> int:
        return 7

    def __getitem__(self, key: tuple[int, int]) -> tuple[np.ndarray, int]:
        epoch, index = key
        if index == 6 and epoch == 9:
            raise InputError("v6: cannot be read")
        return np.random.default_rng(key).standard_normal((4,)).astype(np.float32), 10 * epoch + index


def asked() -> nn.Module:
    """A network that dropout and batch norm would make another in training mode."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5)).double()


KEYS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), max_size=20)


@given(KEYS, st.integers(1, 9))
def test_answers_equal_one_sample_at_a_time(keys, batch):
    network, samples, seen = asked(), Drawn(), []
    found = ask(
        network,
        lambda values, numbers: (network(values.double()), numbers.tolist()),
        samples,
        batch,
        "cpu",
        lambda *at: seen.append(at),
        keys=keys,
    )
    assert network.training
    assert [number for _, numbers in found for number in numbers] == [samples[key][1] for key in keys]
    network.eval()
    expected = [network(torch.from_numpy(samples[key][0]).double()[None])[0].tolist() for key in keys]
    rows = [row.tolist() for values, _ in found for row in values]
    np.testing.assert_allclose(np.reshape(rows, (-1, 3)), np.reshape(expected, (-1, 3)), rtol=1e-12)
    assert all(not values.requires_grad for values, _ in found)
    assert seen == [(min(done + batch, len(keys)), len(keys)) for done in range(0, len(keys), batch)]


@pytest.mark.parametrize("workers", [0, 2])
def test_all_of_the_first_epoch_is_asked_about_and_nothing_is_drawn(workers):
    network = asked()
    before = torch.get_rng_state()
    found = ask(network, lambda values, numbers: numbers.tolist(), Drawn(), 3, "cpu", workers=workers)
    assert found == [[0, 1, 2], [3, 4, 5], [6]]
    assert torch.equal(torch.get_rng_state(), before)


def test_several_askings_have_one_progress():
    seen = []
    first, second, third = one_progress(lambda *at: seen.append(at), 2, 0, 3)
    for part, done, size in ((first, 1, 2), (first, 2, 2), (third, 2, 3), (third, 3, 3), (second, 0, 0)):
        part(done, size)
    assert seen == [(1, 5), (2, 5), (4, 5), (5, 5), (2, 5)]


def test_a_sample_that_cannot_be_read_leaves_the_network_as_it_was():
    network = asked()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(InputError, match="v6: cannot be read"):
        ask(network, lambda values, numbers: network(values.double()), Drawn(), 3, "cpu", keys=[(9, 0), (9, 6)])
    assert network.training
    assert torch.is_grad_enabled()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("fails", [False, True])
def test_modes_and_switches_are_put_back(fails):
    backbone = backbones.build("r3d", 4).train()
    backbone.conv2.bn_a.eval()
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.conv.fp32_precision = "tf32"
    torch.backends.cudnn.benchmark = True
    try:
        with contextlib.suppress(KeyError), frozen(backbone, "batch"):
            assert not backbone.conv1.training
            assert backbone.conv1.bn.training
            assert not torch.is_grad_enabled()
            assert torch.backends.cuda.matmul.fp32_precision == "ieee"
            assert torch.backends.cudnn.conv.fp32_precision == "ieee"
            assert torch.backends.cudnn.allow_tf32 is False
            assert torch.backends.cudnn.benchmark is False
            assert torch.backends.mkldnn.matmul.fp32_precision == "ieee"
            if fails:
                raise KeyError
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"
        assert torch.backends.cudnn.conv.fp32_precision == "tf32"
        assert torch.backends.cudnn.rnn.fp32_precision == "tf32"
        assert torch.backends.cudnn.allow_tf32 is True
        assert torch.backends.cudnn.benchmark is True
        assert torch.is_grad_enabled()
        assert backbone.conv1.training
        assert not backbone.conv2.bn_a.training
        assert all(m.track_running_stats for m in backbone.modules() if isinstance(m, torch.nn.BatchNorm3d))
    finally:
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.benchmark = False
