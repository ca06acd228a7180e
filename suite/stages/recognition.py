"""The stage that tests a fine-tuned network on the action classes."""

from suite.stages import Job
from suite.stages.data import Data
from suite.stages.networks import starting_backbone


def recognition(job: Job) -> dict:
    from suite import checkpoints
    from suite.evaluation import finetuning, recognition

    config = job.config
    data = Data(job, config["dataset"])
    network = finetuning.RecognitionNetwork(starting_backbone(job), len(data.dataset.classes))
    network.load_state_dict(checkpoints.load(job.inputs["finetune"] / "best.safetensors"))
    listed = data.dataset.splits[config["split"]].test
    videos = data.readable(listed)
    logits = recognition.test(
        network,
        data.source(config["video"]["resize"]),
        videos,
        data.frames,
        clip_length=config["video"]["clip_length"],
        clips=config["finetuning"]["test_clips"],
        crop=config["video"]["crop"],
        device=job.runtime.device,
        workers=job.runtime.workers,
        progress=job.runtime.progress,
    )
    hits = [int(row.argmax() == video.label) for row, video in zip(logits, videos, strict=True)]
    return {
        "scores": {"accuracy": 100 * sum(hits) / len(hits)},
        "counts": {"listed": len(listed), "decoded": len(videos), "total": len(hits), "correct": sum(hits)},
        "outcomes": {"groups": [video.group for video in videos], "trials": 1, "hits": {"accuracy": hits}},
    }
