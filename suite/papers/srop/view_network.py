"""View synthesis: a clip's motion under another appearance, as a positive for contrast (srop, Sec. III-G, Fig. 3).

Shapes: B clips, T frames, H x W pixels, D features.
    clips, views  float32 [B, 3, T, H, W] in [0, 1]
    flow          float32 [B, 2, T - 1, H, W] in pixels: u (to the right) and v (downwards), as `suite.video.flow` has it

An autoencoder turns a clip into its view; a flow estimator sees whether the view moves as the clip does; a frozen
extractor sees whether they still look alike. No code of the authors is public and the paper describes no layer: both
networks are ours. Once trained, the autoencoder alone is used.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from suite.errors import InputError
from suite.evaluation import pictures
from suite.evaluation.asking import ask, frozen
from suite.papers.srop import segment_clips
from suite.training import Outcome
from suite.video import transforms

InfoMin = Literal["words", "printed"]
# Of the Charbonnier penalty sqrt(z^2 + EPSILON^2), on values in [0, 1] and on pixels alike (paper).
EPSILON = 1e-3
# Frames in a picture.
PICTURED = 4


# ---------------------------------------------------------------- networks


class Autoencoder(nn.Module):
    """A variational autoencoder that repaints clips. Its latent is a map, so that it can say where things are.

    With c channels and z of the latent, at 16x112x112; GroupNorm of one group and ReLU follow all but moments and change:

        clip       3x16x112x112
        down1      c x16x56x56    3x5x5, stride 1x2x2
        down2     2c x8x28x28     3x3x3, stride 2x2x2
        moments   2z x8x28x28     3x3x3: mean and log-variance of the latent
        up2       2c x8x28x28     3x3x3
        up1        c x16x56x56    3x3x3 on the map enlarged to down1's size
        change     3x16x112x112   3x3x3 on the map enlarged to the clip's size
        view       3x16x112x112   sigmoid(4 (clip - 1/2) + change)

    What is decoded is added to the clip, so that a fresh network's view moves as the clip does. Decoded without the clip,
    views stand still at first, where info-max has next to no slope, and went on to: after 200 steps on generated clips
    info-max was 0.24, that of a constant grey 0.22 (added to the clip: 0.07).

    In training the latent is drawn, from torch's own generator; else it is the mean, so that a clip has one view and
    evaluation draws nothing. At use what varies is the clips, which are drawn and jittered anew in every epoch.
    """

    def __init__(self, channels: int, latent: int):
        super().__init__()
        self.down1 = _normalised(nn.Conv3d(3, channels, (3, 5, 5), (1, 2, 2), (1, 2, 2)))
        self.down2 = _normalised(nn.Conv3d(channels, 2 * channels, 3, 2, 1))
        self.moments = nn.Conv3d(2 * channels, 2 * latent, 3, padding=1)
        self.up2 = _normalised(nn.Conv3d(latent, 2 * channels, 3, padding=1))
        self.up1 = _normalised(nn.Conv3d(2 * channels, channels, 3, padding=1))
        self.change = nn.Conv3d(channels, 3, 3, padding=1)

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> "Autoencoder":
        """The autoencoder of a checkpoint, in evaluation mode and frozen; sizes are read off the tensors."""
        made = cls(channels=state["change.weight"].shape[1], latent=len(state["moments.weight"]) // 2)
        made.load_state_dict(state)
        return made.eval().requires_grad_(False)

    def encode(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Clips -> mean and log-variance of the latent, each float32 [B, z, ceil(T / 2), ceil(H / 4), ceil(W / 4)]."""
        mean, log_variance = self.moments(self.down2(self.down1(clips))).float().chunk(2, dim=1)
        return mean, log_variance

    def latent(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """The latent: drawn in training, else the mean."""
        if not self.training:
            return mean
        return mean + torch.randn_like(mean) * (log_variance / 2).exp()

    def decode(self, latent: Tensor, clips: Tensor) -> Tensor:
        """The clips, changed as the latent says."""
        frames, height, width = clips.shape[2:]
        half = F.interpolate(self.up2(latent), (frames, (height + 1) // 2, (width + 1) // 2))
        change = self.change(F.interpolate(self.up1(half), (frames, height, width))).float()
        return (4 * (clips.float() - 0.5) + change).sigmoid()

    def forward(self, clips: Tensor) -> Tensor:
        """Clips -> views of the same size, float32; any T from 4 on, any H and W from 16 on."""
        return self.decode(self.latent(*self.encode(clips)), clips)


def _normalised(convolution: nn.Conv3d) -> nn.Sequential:
    """With batch norm a clip's view would depend on the other clips."""
    return nn.Sequential(convolution, nn.GroupNorm(1, convolution.out_channels), nn.ReLU())


class FlowEstimator(nn.Module):
    """Flow between neighbouring frames, each pair for itself: an encoder and a decoder over images, for small motions.

    It is shown the first frame and how the second differs from it. The last layer starts near zero, so flow does too.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.stem = nn.Conv2d(6, channels, 3, padding=1)
        self.down1 = nn.Conv2d(channels, 2 * channels, 3, 2, 1)
        self.down2 = nn.Conv2d(2 * channels, 2 * channels, 3, 2, 1)
        self.middle = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1)
        self.up2 = nn.Conv2d(4 * channels, 2 * channels, 3, padding=1)
        self.up1 = nn.Conv2d(3 * channels, channels, 3, padding=1)
        self.flow = nn.Conv2d(channels, 2, 3, padding=1)
        nn.init.normal_(self.flow.weight, std=1e-3)
        assert self.flow.bias is not None  # asked for by default
        nn.init.zeros_(self.flow.bias)

    def forward(self, clips: Tensor) -> Tensor:
        """Clips [B, 3, T, H, W] -> flow [B, 2, T - 1, H, W]."""
        first, second = clips[:, :, :-1], clips[:, :, 1:]
        pairs = _images(torch.cat([first, second - first], dim=1))
        fine = F.relu(self.stem(pairs))
        half = F.relu(self.down1(fine))
        quarter = F.relu(self.middle(F.relu(self.down2(half))))
        half = F.relu(self.up2(torch.cat([_enlarged(quarter, half), half], dim=1)))
        fine = F.relu(self.up1(torch.cat([_enlarged(half, fine), fine], dim=1)))
        return self.flow(fine).float().unflatten(0, (len(clips), -1)).transpose(1, 2)


def _images(clips: Tensor) -> Tensor:
    """[B, C, T, H, W] -> [B T, C, H, W]."""
    return clips.transpose(1, 2).flatten(0, 1)


def _enlarged(maps: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(maps, like.shape[2:], mode="bilinear", align_corners=False)


def warp(frames: Tensor, flow: Tensor) -> Tensor:
    """Frames [B, C, T, H, W], each looked up where flow [B, 2, T, H, W] points to: bilinear, float32.

    The result at a pixel is the frame at that pixel plus its flow; beyond the edge the edge goes on. So with the flow
    from first to second frames, as our estimator gives it, warped second frames are the first ones. (The paper warps
    frames 1..T-1 to 2..T, for which flow must point back in time: the same loss, its pairs read backwards.)
    """
    height, width = frames.shape[3:]
    u, v = _images(flow.float()).unbind(1)
    column = torch.arange(width, device=flow.device) + u
    row = torch.arange(height, device=flow.device)[:, None] + v
    # Corner pixels' centres are at -1 and 1.
    places = torch.stack([2 * column / (width - 1) - 1, 2 * row / (height - 1) - 1], dim=-1)
    warped = F.grid_sample(_images(frames.float()), places, "bilinear", "border", align_corners=True)
    return warped.unflatten(0, (len(frames), -1)).transpose(1, 2)


# ---------------------------------------------------------------- losses: pure functions, each a mean over the batch


def charbonnier(difference: Tensor) -> Tensor:
    """Mean of sqrt(z^2 + EPSILON^2) over all values."""
    return (difference.float().square() + EPSILON**2).sqrt().mean()


def photometric_loss(clips: Tensor, flow: Tensor) -> Tensor:
    """How far second frames, warped back, are from the first ones: the Charbonnier penalty (Eq. 13)."""
    return charbonnier(clips[:, :, :-1] - warp(clips[:, :, 1:], flow))


def kl_loss(mean: Tensor, log_variance: Tensor, values: int) -> Tensor:
    """Divergence of the latent from a standard normal one (Eq. 14), summed over the latent and divided by `values`, the
    number of values of a clip: nats a value, as the other losses are means over values.

    A latent map has thousands of values: their sum would silence the other losses, whose weights are 1 as well.
    """
    total = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum()
    return total / (len(mean) * values)


def info_max_loss(clip_flow: Tensor, view_flow: Tensor) -> Tensor:
    """Charbonnier penalty between the flows of clip and view (Eq. 15); the clip's is a fixed target."""
    return charbonnier(clip_flow.detach() - view_flow)


def similarity(view_features: Tensor, clip_features: Tensor) -> Tensor:
    """Mean cosine of the features of view and clip, each [B, D] (D in Eq. 16); the clip's are fixed."""
    return F.cosine_similarity(view_features.float(), clip_features.detach().float(), dim=1).mean()


# ---------------------------------------------------------------- the pretraining


class ViewSynthesisNetwork(nn.Module):
    """Autoencoder, flow estimator, and a frozen extractor (`backbone`) that tells how alike clip and view look.

    The estimator learns from the photometric loss alone and the autoencoder from the three others. So one optimiser over
    both makes the steps of the two that the paper has, as SGD and Adam treat each value by itself.

    Args:
        backbone: gives features of [B, 3, T, H, W]; it is in evaluation mode always and gets no gradient.
        channels: of the first layer of autoencoder and estimator; `latent`: of the autoencoder's latent map.
        info_min: "words": similarity is minimised, as the text says; "printed": maximised, as Eq. 16 has it.
        pixels: what the backbone is used to; it must be "unit", as views are clips in [0, 1]. Raises InputError.
    """

    def __init__(
        self, backbone: nn.Module, *, channels: int, latent: int, info_min: InfoMin, pixels: transforms.Pixels
    ):
        super().__init__()
        if pixels != "unit":
            raise InputError(
                f'view synthesis makes pixels in [0, 1], not {pixels!r}: set pixels = "unit" in the recipe'
            )
        self.backbone = backbone.eval().requires_grad_(False)
        self.autoencoder, self.flow = Autoencoder(channels, latent), FlowEstimator(channels)
        self.info_min = info_min

    def train(self, mode: bool = True) -> "ViewSynthesisNetwork":
        """As of every module, but for the extractor, whose batch norm keeps its statistics."""
        super().train(mode)
        self.backbone.eval()
        return self

    def outcome(self, clips: Tensor, colours: Tensor, order: Tensor, rates: Tensor) -> Outcome:
        """The sum of the four losses on the queries of `SegmentClips`' samples, each of them a part; order and rates
        are not used.

        Args:
            clips: uint8 [B, P, T, H, W, 3], queries first; `colours`: float32 [B, P, 3], their jitter.
        """
        query = transforms.coloured(transforms.to_network(clips[:, 0]), colours[:, 0])
        mean, log_variance = self.autoencoder.encode(query)
        view = self.autoencoder.decode(self.autoencoder.latent(mean, log_variance), query)
        flow = self.flow(query)
        # By the values of the estimator's parameters: info-max must not teach it to see no motion.
        fixed = {name: parameter.detach() for name, parameter in self.flow.named_parameters()}
        found = similarity(self.backbone(view), self.backbone(query))
        parts = {
            "photometric": photometric_loss(query, flow),
            "kl": kl_loss(mean, log_variance, query[0].numel()),
            "info_max": info_max_loss(flow, functional_call(self.flow, fixed, (view,))),
            "info_min": found if self.info_min == "words" else -found,
        }
        loss = torch.stack(list(parts.values())).sum()
        return Outcome(loss, None, parts | {"view_similarity": found})


# ---------------------------------------------------------------- what views keep, and Fig. 3


def view_scores(
    network: ViewSynthesisNetwork,
    samples: segment_clips.SegmentClips,
    batch: int,
    device: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    workers: int = 0,
) -> dict[str, float]:
    """What views of `samples` (epoch 0) keep of motion and looks; means over clips, single precision, evaluation mode.

    Returns:
        photometric: of the clips, by the estimator. info_max: of the views. grey_info_max: of one grey, which has no motion.
        view_similarity: cosine of the features of view and clip, times 100; other_similarity: of a view and another clip.
    """
    sums: dict[str, float] = {}

    def viewed(clips: Tensor, colours: Tensor, *_: Tensor) -> None:
        query = transforms.coloured(transforms.to_network(clips[:, 0]), colours[:, 0])
        view, flow = network.autoencoder(query), network.flow(query)
        features, seen = network.backbone(query), network.backbone(view)
        found = {
            "photometric": photometric_loss(query, flow),
            "info_max": info_max_loss(flow, network.flow(view)),
            "grey_info_max": info_max_loss(flow, network.flow(torch.full_like(query, 0.5))),
            "view_similarity": 100 * similarity(seen, features),
            "other_similarity": 100 * similarity(seen, features.roll(1, 0)),
        }
        for name, value in found.items():
            sums[name] = sums.get(name, 0.0) + float(value) * len(clips)

    ask(network, viewed, samples, batch, device, progress, workers=workers)
    return {name: total / len(samples) for name, total in sums.items()}


def show_view(
    network: ViewSynthesisNetwork, samples: segment_clips.SegmentClips, index: int, device: str, path: Path
) -> None:
    """Write the picture of one clip of `samples` (epoch 0) beside its view."""
    network.to(device)
    clip = samples[0, index][0][0]
    with frozen(network):
        query = transforms.to_network(clip[None].to(device))
        view = network.autoencoder(query)
        flows = network.flow(torch.cat([query, view]))
    view_picture(clip, view[0], flows[0], flows[1], path)


def view_picture(clip: Tensor, view: Tensor, clip_flow: Tensor, view_flow: Tensor, path: Path) -> None:
    """Write a PNG of some frames of a clip, those of its view, and the flow of both; the same input, the same bytes.

    Colours of flow are those of `suite.evaluation.pictures`, on one scale for both clips: white does not move.

    Args:
        clip: uint8 [T, H, W, 3]; `view`: float [3, T, H, W] in [0, 1].
        clip_flow, view_flow: float [2, T - 1, H, W].
    """
    flows = [flow.detach().float().cpu().transpose(0, 1).numpy() for flow in (clip_flow, view_flow)]
    seen = (view.detach().float().cpu().permute(1, 2, 3, 0) * 255).round().to(torch.uint8).numpy()
    shown = np.unique(np.linspace(0, len(clip) - 2, PICTURED).round().astype(int)).tolist()
    largest = max(float(np.hypot(*flow[frame]).max()) for flow in flows for frame in shown)
    columns = []
    for frame in shown:
        panels = [(clip[frame].cpu().numpy(), "clip"), (seen[frame], "view")]
        for flow, whose in zip(flows, ("clip", "view"), strict=True):
            panels.append((pictures.flow_colours(flow[frame], largest), f"{whose}'s flow, to {largest:.1f} pixels"))
        columns.append([(pictures.enlarged(pixels), caption, "") for pixels, caption in panels])
    headings = [f"frame {frame + 1} of {len(clip)}" for frame in shown]
    pictures.write_png(pictures.sheet_of(columns, headings), path)
