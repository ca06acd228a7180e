"""Stages that prepare data: generate, check, store frames. `Data` is how the other stages see a dataset."""

import json
import os

from suite.stages import Job

# Videos with the bytes of others that a check names; videos.json has them all.
MOST_NAMED = 10


class Data:
    """A dataset with the frame counts that its check found, and a source of resized frames."""

    def __init__(self, job: Job, name: str):
        from suite import datasets

        self.root = job.roots[name]
        checked = json.loads((job.inputs[f"check-data:{name}"] / "videos.json").read_text(encoding="utf-8"))
        # A check says what it was of: whatever builds on it sees the same videos.
        selection = datasets.Selection.of_content(checked.get("selection"))
        self.dataset = datasets.load(name, self.root, selection)
        self.frames: dict[str, int] = checked["videos"]
        self._store = job.inputs.get(f"frames:{name}")
        self._antialias = _antialias(job.config)
        self._flow, self._config = job.inputs.get(f"flow:{name}"), job.config

    def readable(self, videos) -> list:
        """The videos that decode; the others were counted when the data were checked."""
        return [video for video in videos if video.name in self.frames]

    def source(self, resize):
        from suite.video import decode, store

        if self._store is not None:
            return store.FrameStore(self._store)
        return decode.ResizedVideos(self.root, self.dataset.videos(), tuple(resize), self._antialias)

    def flow(self, resize):
        """Flow between resized frames, of a store or computed when asked for."""
        from suite.video import flow

        if self._flow is not None:
            return flow.FlowStore(self._flow)
        return flow.FlowOnTheFly(self.source(resize), self.frames, self._config["flow"])


def synthetic(job: Job) -> dict:
    from suite.datasets import synthetic

    settings = {key: job.config[key] for key in ("height", "width", "seed")}
    synthetic.generate(job.config["dataset"], job.folder, settings, job.runtime.progress)
    return {}


def check_data(job: Job) -> dict:
    from suite import datasets
    from suite.video import checking

    name = job.config["dataset"]
    selection = datasets.Selection.of_content(job.config.get("selection"))
    dataset = datasets.load(name, job.roots[name], selection)
    # Unreadable videos are found and counted here; whether a run goes on without them is the caller's choice.
    memo = job.roots["memo"] / f"{name}.jsonl" if "memo" in job.roots else None
    report = checking.check(dataset, True, max(job.runtime.workers, 1), job.runtime.progress, memo)
    if selection:
        report["selection"] = selection.content()
    (job.folder / "videos.json").write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    counts = {"listed": len(dataset.videos()), "decoded": report["decoded"], "unreadable": len(report["unreadable"])}
    counts |= {name: report[name] for name in ("missing", "disagree")} | {"duplicates": len(report["duplicates"])}
    facts = {name: report[name] for name in ("sha256", "sizes", "listed", "unreadable", "refused", "notes")}
    facts["duplicates"] = report["duplicates"][:MOST_NAMED]
    facts["duplicates_across"] = {
        split: {"count": len(pairs), "first": pairs[:MOST_NAMED]}
        for split, pairs in report["duplicates_across"].items()
    }
    return {"counts": counts, "facts": facts}


def frames(job: Job) -> dict:
    from suite.video import decode, store

    data = Data(job, job.config["dataset"])
    videos, size = data.dataset.videos(), tuple(job.config["resize"])
    source = decode.ResizedVideos(data.root, videos, size, _antialias(job.config))
    names = sorted(data.frames)

    def whole_videos():
        for done, name in enumerate(names):
            job.runtime.progress(done, len(names))
            yield name, source.frames(name, list(range(data.frames[name])))

    store.write(job.folder, whole_videos())
    return {"counts": {"videos": len(names), "frames": sum(data.frames.values())}}


def flow(job: Job) -> dict:
    """Flow of all videos of a split, one byte a value."""
    from suite.video import flow

    config = job.config
    data = Data(job, config["dataset"])
    split = data.dataset.splits[config["split"]]
    names = sorted(video.name for video in data.readable({*split.train, *split.test}))
    made = flow.write(
        job.folder,
        names,
        data.frames,
        data.source(config["resize"]),
        config["flow"],
        workers=cores(),
        progress=job.runtime.progress,
    )
    counts = {"videos": len(names), "pairs": made["pairs"], "bytes": made["bytes"]}
    return {"counts": counts, "facts": {"error": made["error"], "settings": made["settings"]}}


def _antialias(config: dict) -> bool:
    """Whether frames are smoothed as they are resized, which a configuration says only where they are not."""
    return config.get("video", config).get("antialias", True)


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
