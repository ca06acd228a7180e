"""Optical flow: known motions are found, the store gives back what was computed, and a broken one says so."""

import json
import math
import pickle
import shutil
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from suite import datasets
from suite.errors import DamagedError, InputError
from suite.video import clips, decode, flow, store

DIS = {"method": "dis"}
BROX = {"method": "brox"}
METHODS = pytest.mark.parametrize("method", [BROX, DIS], ids=["brox", "dis"])
SIZE = (37, 49)


def quiet(done: int, total: int) -> None:
    """No progress shown."""


@dataclass
class Videos:
    """Frames in memory; travels to worker processes."""

    pixels: dict[str, torch.Tensor]
    # Asked for this video, it is damaged.
    damaged: str = ""

    def frames(self, name, indices):
        if name == self.damaged:
            raise InputError(f"{name}: cannot be decoded")
        return self.pixels[name][list(indices)]


class Counting(Videos):
    """Notes which videos were asked for as a whole."""

    def frames(self, name, indices):
        if len(indices) == len(self.pixels[name]):
            self.asked = [*getattr(self, "asked", []), name]
        return super().frames(name, indices)


def texture(size: tuple[int, int]) -> np.ndarray:
    """Smoothed noise at three scales: uint8 [h, w, 3]."""
    draw = np.random.default_rng(5)
    layers = [cv2.GaussianBlur(draw.normal(size=(*size, 3)), (0, 0), blur) * blur for blur in (1.5, 4, 10)]
    image = sum(layers)
    return np.rint(255 * (image - image.min()) / (image.max() - image.min())).astype(np.uint8)


def warps(size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Where pixels (x, y, 1) go: a shift, a turn of 3 degrees and a zoom by 6 % about the middle, [2, 3]."""
    height, width = size
    angle = math.radians(3)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    middle = np.array([width / 2, height / 2])
    return {
        "shift": np.array([[1, 0, 3.4], [0, 1, -2.3]]),
        "turn": np.column_stack([turn, middle - turn @ middle]),
        "zoom": np.column_stack([1.06 * np.eye(2), -0.06 * middle]),
    }


def moved(size: tuple[int, int], warp: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A textured frame and the same moved, uint8 [2, h, w, 3]; true flow [2, h, w]; where both show the same."""
    height, width = size
    margin = 16
    image = texture((height + 2 * margin, width + 2 * margin))
    # In coordinates of the frame, whose corner is `margin` pixels inside the image.
    shifted = warp.copy()
    shifted[:, 2] += margin - warp[:, :2] @ [margin, margin]
    after = cv2.warpAffine(image, shifted, image.shape[1::-1], flags=cv2.INTER_CUBIC)
    pair = np.stack([image, after])[:, margin:-margin, margin:-margin]
    y, x = np.mgrid[:height, :width]
    ends = np.einsum("ij,jhw->ihw", warp, np.stack([x, y, np.ones_like(x)]))
    inside = (ends[0] >= 0) & (ends[0] <= width - 1) & (ends[1] >= 0) & (ends[1] <= height - 1)
    return np.ascontiguousarray(pair), ends - [x, y], inside


def end_point_error(size, warp, method) -> float:
    """Mean distance, in pixels, of computed from true flow."""
    pair, truth, inside = moved(size, warp)
    found = flow.flow(pair, method)[0].numpy()
    return float(np.hypot(*(found - truth))[inside].mean())


@pytest.mark.parametrize("name", ["shift", "turn", "zoom"])
@pytest.mark.parametrize("size", [(128, 171), (112, 112)], ids=str)
def test_known_motions_are_found(size, name):
    brox, dis = (end_point_error(size, warps(size)[name], method) for method in (BROX, DIS))
    assert brox < 0.08
    assert dis < 0.15
    assert brox < dis


@pytest.mark.parametrize("name", ["shift", "turn", "zoom"])
def test_known_motions_are_found_in_tiny_frames(name):
    brox, dis = (end_point_error(SIZE, warps(SIZE)[name], method) for method in (BROX, DIS))
    assert brox < 0.12
    assert dis < 0.25
    assert brox < dis


@METHODS
def test_u_is_to_the_right_and_v_downwards(method):
    frames = np.full((2, 64, 64, 3), 90, np.uint8)
    frames[:, :, :, 0] = texture((64, 64))[..., 0] // 4
    frames[0, 24:40, 24:40] = texture((16, 16))
    frames[1, 27:43, 26:42] = texture((16, 16))
    u, v = flow.flow(frames, method)[0, :, 28:36, 28:36].mean((1, 2))
    assert float(u) == pytest.approx(2, abs=0.5)
    assert float(v) == pytest.approx(3, abs=0.5)


@METHODS
@pytest.mark.parametrize("size", [(16, 16), (16, 60), (37, 49), (128, 171)], ids=str)
def test_nothing_moves_in_frames_that_are_equal_or_of_one_colour(method, size):
    still = np.repeat(texture(size)[None], 3, 0)
    one_colour = np.full((3, *size, 3), [[[[200, 30, 90]]]], np.uint8)
    one_colour[1] = 250
    for frames in (still, one_colour):
        found = flow.flow(frames, method)
        assert found.shape == (2, 2, *size)
        assert found.dtype == torch.float32
        assert not found.any()


@METHODS
@settings(max_examples=15, deadline=None)
@given(
    frames=arrays.arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(16, 30), st.integers(16, 30), st.just(3)))
)
def test_any_frames_have_finite_flow(method, frames):
    found = flow.flow(frames, method)
    assert found.shape == (len(frames) - 1, 2, *frames.shape[1:3])
    assert torch.isfinite(found).all()


@METHODS
def test_pairs_do_not_depend_on_their_neighbours(method):
    frames = np.random.default_rng(1).integers(0, 256, (5, *SIZE, 3), np.uint8)
    whole = flow.flow(frames, method)
    for pair in range(4):
        assert torch.equal(flow.flow(torch.from_numpy(frames[pair : pair + 2]), method)[0], whole[pair])


def test_levels_shrink_by_the_factor():
    assert flow._pyramid((40, 60), 0.5, 10) == [(10, 15), (20, 30), (40, 60)]
    levels = flow._pyramid((128, 171), 0.95, 10)
    assert levels[-3:] == [(116, 154), (122, 162), (128, 171)]
    assert min(levels[0]) == 10
    assert len(levels) == len(set(levels))


def test_settings_are_completed_and_checked():
    assert flow.complete({}) == {"method": "brox", **flow.BROX}
    assert flow.complete({"method": "brox", "alpha": 30})["alpha"] == 30
    assert flow.complete(DIS) == DIS
    assert json.loads(json.dumps(flow.complete({}))) == flow.complete({})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"method": "tvl1"}, "method = 'tvl1' is unknown; the methods are brox and dis"),
        ({"method": "dis", "alpha": 3}, "dis has no setting 'alpha'; it has: none"),
        ({"levels": 3}, "brox has no setting 'levels'; it has: factor, smallest"),
        ({"factor": 1.0}, r"factor = 1\.0 must be a number from 0 to below 1"),
        ({"relaxation": 2}, "relaxation = 2 must be a number from 0 to below 2"),
        ({"sweeps": 0}, "sweeps = 0 must be a whole number from 1"),
        ({"sweeps": 2.5}, r"sweeps = 2\.5 must be a whole number"),
        ({"alpha": math.nan}, "alpha = nan must be a number"),
        ({"alpha": True}, "alpha = True must be a number"),
        ({"alpha": "20"}, "alpha = '20' must be a number"),
    ],
    ids=str,
)
def test_wrong_settings_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        flow.flow(np.zeros((2, 20, 20, 3), np.uint8), wrong)


def test_frames_that_are_too_small_or_no_frames_are_refused():
    with pytest.raises(InputError, match="frames of 15x40 are too small; resize to 16 pixels"):
        flow.flow(np.zeros((2, 15, 40, 3), np.uint8), DIS)
    for wrong in (np.zeros((2, 20, 20, 3)), np.zeros((20, 20, 3), np.uint8), np.zeros((0, 20, 20, 3), np.uint8)):
        with pytest.raises(ValueError, match="frames must be uint8"):
            flow.flow(wrong, DIS)


@given(
    flows=arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 3), st.just(2), st.integers(1, 4), st.integers(1, 5)),
        elements=st.floats(-1e6, 1e6, width=32),
    )
)
def test_rounding_errs_by_no_more_than_half_a_step(flows):
    values, steps = flow.quantise(flows)
    largest = np.abs(flows).max((2, 3), keepdims=True).astype(np.float64)
    np.testing.assert_allclose(steps[:, :, None, None], largest / 127, rtol=1e-6, atol=1e-44)
    assert values.dtype == np.int8
    error = np.abs(flow.restore(values, steps).astype(np.float64) - flows)
    assert (error <= largest / 127 / 2 + 1e-6 * largest + 1e-43).all()
    np.testing.assert_array_equal(flow.restore(values, steps)[flows == 0], 0)


@pytest.fixture(scope="module")
def source() -> Videos:
    """Textures that drift, in videos of 1, 2, 9 and 12 frames; the last does not move from frame 5 on."""
    image = torch.from_numpy(texture((60, 80)))
    crops = [image[t // 2 : t // 2 + SIZE[0], t : t + SIZE[1]] for t in range(12)]
    videos = {f"class {count % 2}/{count} frames.avi": torch.stack(crops[:count]) for count in (1, 2, 9, 12)}
    videos["class 0/12 frames.avi"][6:] = videos["class 0/12 frames.avi"][5]
    return Videos(videos)


@pytest.fixture(scope="module")
def frames(source) -> dict[str, int]:
    return {name: len(pixels) for name, pixels in source.pixels.items()}


@pytest.fixture(scope="module")
def written(tmp_path_factory, source, frames):
    folder = tmp_path_factory.mktemp("flow") / "store"
    return folder, flow.write(folder, list(frames), frames, source, DIS, 1, quiet)


@pytest.fixture
def folder(tmp_path, written):
    """A store that a test may break."""
    shutil.copytree(written[0], tmp_path / "store")
    return tmp_path / "store"


def contents(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_store_gives_back_what_was_computed(written, source, frames):
    folder, index = written
    stored, live = flow.FlowStore(folder), flow.FlowOnTheFly(source, frames, DIS)
    for name, count in frames.items():
        whole = torch.cat([flow.flow(source.pixels[name], DIS), torch.zeros(1, 2, *SIZE)])
        for pairs in (range(count), [count - 1, 0], [0] * 3, [0, *range(count), max(count - 2, 0)]):
            wanted = whole[list(pairs)]
            assert torch.equal(live.flows(name, pairs), wanted)
            bounds = wanted.abs().amax((2, 3), keepdim=True) / 127 / 2 * 1.0001
            got = stored.flows(name, pairs)
            assert got.dtype == torch.float32
            assert ((got - wanted).abs() <= bounds).all()
            assert bounds.max() <= index["error"]["largest"] * 1.001
    assert index["error"]["largest"] < 0.05
    assert 0 < index["error"]["mean"] < index["error"]["largest"]


def test_where_a_clip_starts_again_nothing_moves(written, source, frames):
    name = "class 1/9 frames.avi"
    pairs = clips.clip_indices(3, 16, frames[name])[:-1]
    for flows in (flow.FlowStore(written[0]), flow.FlowOnTheFly(source, frames, DIS)):
        found = flows.flows(name, pairs)
        assert [bool(field.any()) for field in found] == [pair != 8 for pair in pairs]
        assert torch.equal(found[0], found[9])
        # A video of one frame has no other pair.
        one = flows.flows("class 1/1 frames.avi", [0] * 15)
        assert one.shape == (15, 2, *SIZE)
        assert not one.any()


def test_pairs_past_the_end_are_an_error(written, source, frames):
    name = "class 0/2 frames.avi"
    for flows in (flow.FlowStore(written[0]), flow.FlowOnTheFly(source, frames, DIS)):
        with pytest.raises(
            InputError, match=r"class 0/2 frames\.avi: has 2 frames, the flow from frame 2 was expected"
        ):
            flows.flows(name, [0, 2])
        with pytest.raises(ValueError, match="pair indices"):
            flows.flows(name, [-1])
        with pytest.raises(ValueError, match="pair indices"):
            flows.flows(name, [])


def test_the_size_is_known_beforehand(written, frames):
    folder, index = written
    sizes = [path.stat().st_size for path in folder.rglob("*.flow")]
    assert len(sizes) == 4
    assert flow.bytes_needed(frames, SIZE) == sum(sizes) == index["bytes"]
    assert flow.bytes_needed({"a": 1}, SIZE) == 0
    assert flow.bytes_needed({"a": 3, "b": 2}, (128, 171)) == 3 * 2 * (128 * 171 + 4)


def test_the_index_says_what_the_store_holds(written, frames):
    folder, index = written
    assert json.loads((folder / flow.INDEX).read_text()) == index
    assert (index["height"], index["width"]) == SIZE
    assert index["settings"] == DIS
    assert index["videos"] == frames
    assert index["pairs"] == 0 + 1 + 8 + 11


def test_both_travel_to_worker_processes(written, source, frames):
    for flows in (flow.FlowStore(written[0]), flow.FlowOnTheFly(source, frames, DIS)):
        copy = pickle.loads(pickle.dumps(flows))
        assert torch.equal(
            copy.flows("class 1/9 frames.avi", [2, 3]),
            flows.flows("class 1/9 frames.avi", [2, 3]),
        )


def test_a_run_that_was_killed_goes_on(folder, source, frames):
    whole = contents(folder)
    counting = Counting(source.pixels)
    # Stopped while it wrote two videos: one not begun, and one that a power cut took the end of.
    (folder / flow.INDEX).unlink()
    (folder / "class 0/12 frames.avi.flow").unlink()
    cut = folder / "class 1/9 frames.avi.flow"
    cut.write_bytes(cut.read_bytes()[:-1])
    with pytest.raises(InputError, match="no store of optical flow"):
        flow.FlowStore(folder)
    kept = (folder / "class 0/2 frames.avi.flow").stat().st_mtime_ns
    seen = []
    flow.write(folder, list(frames), frames, counting, DIS, 1, lambda *count: seen.append(count))
    assert contents(folder) == whole
    assert [name for name in counting.asked if frames[name] > 1] == ["class 1/9 frames.avi", "class 0/12 frames.avi"]
    assert (folder / "class 0/2 frames.avi.flow").stat().st_mtime_ns == kept
    assert seen == [(2, 4), (3, 4), (4, 4)]


def test_a_video_that_cannot_be_read_ends_the_run_and_the_others_are_kept(tmp_path, source, frames):
    broken = Videos(source.pixels, damaged="class 0/12 frames.avi")
    with pytest.raises(InputError, match=r"class 0/12 frames\.avi: cannot be decoded"):
        flow.write(tmp_path, list(frames), frames, broken, DIS, 1, quiet)
    assert len(list(tmp_path.rglob("*.flow"))) == 3
    with pytest.raises(InputError, match="no store"):
        flow.FlowStore(tmp_path)
    flow.write(tmp_path, list(frames), frames, source, DIS, 1, quiet)
    assert flow.FlowStore(tmp_path).flows("class 0/12 frames.avi", [0]).any()


def test_flow_of_other_settings_is_never_taken_over(folder, source, frames):
    with pytest.raises(InputError, match="holds optical flow of another size or other settings; delete it"):
        flow.write(folder, list(frames), frames, source, BROX, 1, quiet)
    (folder / flow.SETTINGS).write_text("{")
    with pytest.raises(DamagedError, match=r"settings\.json: not the settings"):
        flow.write(folder, list(frames), frames, source, DIS, 1, quiet)


def test_a_name_that_leaves_no_room_for_a_suffix(tmp_path, source, frames):
    # 255 bytes are what a file system takes; the letters have two bytes each, and two names differ at their end alone.
    names = [f"class 0/{'é' * 125}{end}.avi" for end in ("a", "b")]
    pixels = dict.fromkeys(names, source.pixels["class 1/9 frames.avi"])
    flow.write(tmp_path, names, dict.fromkeys(names, 9), Videos(pixels), DIS, 2, quiet)
    expected = tmp_path / "expected"
    flow.write(expected, ["class 1/9 frames.avi"], frames, source, DIS, 1, quiet)
    for name in names:
        found = flow.FlowStore(tmp_path).flows(name, [3, 8])
        assert torch.equal(found, flow.FlowStore(expected).flows("class 1/9 frames.avi", [3, 8]))


def test_damaged_stores_are_refused(folder):
    name = "class 1/9 frames.avi"
    path = folder / f"{name}.flow"
    stored = flow.FlowStore(folder)
    with pytest.raises(InputError, match=r"holds no flow of another\.avi; delete the folder"):
        stored.flows("another.avi", [0])
    raw = path.read_bytes()
    path.write_bytes(np.float32(np.nan).tobytes() + raw[4:])
    with pytest.raises(InputError, match=r"9 frames\.avi\.flow: is damaged; delete .*store and run again"):
        stored.flows(name, [0])
    path.write_bytes(raw[:-1])
    with pytest.raises(InputError, match=r"9 frames\.avi\.flow: is not whole; delete .*store and run again"):
        stored.flows(name, [0])
    path.unlink()
    with pytest.raises(InputError, match=r"9 frames\.avi\.flow: cannot be read \(No such file"):
        stored.flows(name, [0])
    for content in ("{", "[]", '{"height": 3}'):
        (folder / flow.INDEX).write_text(content)
        with pytest.raises(InputError, match="no store of optical flow"):
            flow.FlowStore(folder)


def test_processes_change_nothing(tmp_path, one_action):
    """Generated avi files, one of them damaged at first, decoded in two processes and in this one."""
    videos = one_action.videos()[:4]
    names = [video.name for video in videos]
    frames = {video.name: min(decode.count_frames(one_action.root / video.path), 6) for video in videos}
    damaged = tmp_path / "damaged" / videos[3].path
    damaged.parent.mkdir(parents=True)
    for video in videos[:3]:
        shutil.copy(one_action.root / video.path, tmp_path / "damaged" / video.path)
    damaged.write_bytes(b"no video")
    source = decode.ResizedVideos(tmp_path / "damaged", videos, SIZE)
    seen = []
    with pytest.raises(InputError, match=f"{damaged.name}: cannot be decoded"):
        flow.write(tmp_path / "two", names, frames, source, BROX, 2, lambda *count: seen.append(count))
    assert seen == [(done, 4) for done in range(4)]
    assert len(list((tmp_path / "two").rglob("*.flow"))) == 3
    shutil.copy(one_action.root / videos[3].path, damaged)
    flow.write(tmp_path / "two", names, frames, source, BROX, 1, quiet)
    flow.write(tmp_path / "one", names, frames, source, BROX, 1, quiet)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert flow.FlowStore(tmp_path / "one").flows(names[0], [0, 1]).any()


def test_a_frame_store_gives_the_same_flow(tmp_path, source, frames):
    store.write(tmp_path / "frames", source.pixels.items())
    stored = pickle.loads(pickle.dumps(store.FrameStore(tmp_path / "frames")))
    for name, frames_source in (("a", source), ("b", stored)):
        flow.write(tmp_path / name, list(frames), frames, frames_source, DIS, 1, quiet)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_flow_of_a_real_video(tmp_path, shared_data):
    """Frames moved on by the flow found are nearer to the next frame than the frames themselves, by half and more."""
    root = shared_data / "ucf101-six-small"
    video = datasets.load("ucf101", root).videos()[0]
    source = decode.ResizedVideos(root, [video], (128, 171))
    frames = {video.name: 9}
    flow.write(tmp_path, [video.name], frames, source, BROX, 1, quiet)
    found = flow.FlowStore(tmp_path).flows(video.name, range(8)).numpy()
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in source.frames(video.name, range(9)).numpy()]
    y, x = np.mgrid[:128, :171].astype(np.float32)
    before, after = [], []
    for pair, (u, v) in enumerate(found):
        back = cv2.remap(grey[pair + 1], x + u, y + v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        before.append(np.abs(grey[pair + 1].astype(float) - grey[pair]).mean())
        after.append(np.abs(back.astype(float) - grey[pair]).mean())
    assert np.mean(after) < 0.6 * np.mean(before)
