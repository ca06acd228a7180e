"""Stages that ask how well a pretext task was learnt, on videos that it was not learnt from."""

from suite.errors import InputError
from suite.stages import Job
from suite.stages.data import Data
from suite.stages.networks import pretext_network


def order_accuracy(job: Job) -> dict:
    """How many test videos' clips or segments are put in the right order."""
    from suite.evaluation import order

    network, samples, videos, counts = _held_out(job)
    right, loss = order.test(
        network,
        samples,
        job.config["pretraining"]["optimisation"]["batch"],
        job.runtime.device,
        job.runtime.progress,
        workers=job.runtime.workers,
    )
    hits = [int(value) for value in right]
    return {
        "scores": {"accuracy": 100 * sum(hits) / len(hits), "loss": loss},
        "counts": counts | {"total": len(hits), "correct": sum(hits)},
        "outcomes": {"groups": [video.group for video in videos], "trials": 1, "hits": {"accuracy": hits}},
    }


def _held_out(job: Job):
    """A pretext network as its training left it, and one sample of every test video: (network, samples, videos, counts)."""
    from suite import checkpoints, papers

    pretraining, video = job.config["pretraining"], job.config["video"]
    task = papers.pretext(pretraining["pretext"])
    data = Data(job, pretraining["dataset"])
    network = pretext_network(job)
    network.load_state_dict(checkpoints.load(job.inputs["pretrain"] / "best.safetensors"))
    listed = data.dataset.splits[pretraining["split"]].test
    decoded = data.readable(listed)
    videos = task.eligible(decoded, data.frames, pretraining, video)
    if not videos:
        raise InputError(f"{data.root}: no test video is long enough for the task {pretraining['pretext']}")
    # Seed 0 always: every run is asked about the same samples.
    samples = task.samples(data, videos, pretraining, video, seed=0, training=False)
    return network, samples, videos, {"listed": len(listed), "decoded": len(decoded)}
