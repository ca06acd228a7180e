"""Reading tuples from real files: this reader against whole-video decoding with per-frame PIL transforms, in one run."""

import random
import time

import numpy as np
import pytest
import torch

from suite.papers.vcop import clip_order, order_network
from suite.video import decode


def as_the_authors_do(path, starts, clip_length: int, crop: int) -> torch.Tensor:
    """The whole video to RGB frames, then each wanted frame resized, cropped and turned into a tensor by PIL."""
    import av
    from PIL import Image

    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    clips = []
    for start in starts:
        left, top = random.randrange(171 - crop + 1), random.randrange(128 - crop + 1)
        clip = []
        for frame in frames[start : start + clip_length]:
            resized = Image.fromarray(frame).resize((171, 128), Image.BILINEAR)
            cropped = resized.crop((left, top, left + crop, top + crop))
            clip.append(torch.from_numpy(np.array(cropped)).permute(2, 0, 1).float().div(255))
        clips.append(torch.stack(clip))
    return torch.stack(clips)


@pytest.mark.benchmark(group="reader")
def test_tuples_per_second_against_whole_videos(benchmark, shared_data):
    from suite import datasets

    torch.set_num_threads(1)
    root = shared_data / "ucf101-six"
    videos = datasets.load("ucf101", root).splits[1].train[::7]
    frames = {video.name: decode.count_frames(root / video.path) for video in videos}
    span = {"clip_length": 16, "tuple_length": 3, "interval": 8}
    videos = clip_order.long_enough(videos, frames, **span)
    source = decode.ResizedVideos(root, videos, (128, 171))
    tuples = order_network.ClipTuples(source, videos, frames, crop=112, seed=0, training=True, **span)

    def read_all():
        for index in range(len(tuples)):
            clips, _ = tuples[0, index]
            assert clips.shape == (3, 16, 112, 112, 3)

    read_all()
    started = time.perf_counter()
    for video in videos:
        start = random.randrange(frames[video.name] - 63)
        as_the_authors_do(root / video.path, [start, start + 24, start + 48], 16, 112)
    theirs = time.perf_counter() - started
    benchmark.pedantic(read_all, rounds=3)
    ours = benchmark.stats.stats.min
    benchmark.extra_info["tuples_per_second"] = len(videos) / ours
    benchmark.extra_info["speedup_over_whole_videos"] = theirs / ours
    print(f"\n{len(videos) / ours:.1f} tuples/s, {theirs / ours:.1f} times whole-video reading")
    assert theirs / ours >= 5
