"""Switches of PyTorch inside and after full precision."""

import pytest
import torch

from suite.precision import full_precision

cudnn = torch.backends.cudnn


@pytest.fixture(autouse=True)
def switches_put_back():
    yield
    cudnn.allow_tf32 = True


@pytest.mark.parametrize("allowed", [True, False])
def test_the_older_switch_can_be_read_inside_and_is_put_back(allowed):
    cudnn.allow_tf32 = allowed
    before = cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision
    with full_precision(), full_precision():
        assert cudnn.allow_tf32 is False
        assert cudnn.conv.fp32_precision == cudnn.rnn.fp32_precision == "ieee"
    assert cudnn.allow_tf32 is allowed
    assert (cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision) == before


@pytest.mark.parametrize(("conv", "rnn"), [("ieee", "tf32"), ("tf32", "ieee"), ("ieee", "ieee")])
def test_switches_that_disagree_with_the_older_one_are_put_back(conv, rnn):
    cudnn.allow_tf32 = True
    cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision = conv, rnn
    with full_precision():
        assert cudnn.allow_tf32 is False
    assert (cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision) == (conv, rnn)
    # The older switch is on as before: it can be read once the newer ones agree with it.
    cudnn.conv.fp32_precision = cudnn.rnn.fp32_precision = "tf32"
    assert cudnn.allow_tf32 is True
