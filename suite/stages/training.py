"""Stages that leave weights: pretraining by a pretext task, fine-tuning, and checkpoints of other code."""

from collections.abc import Callable

from suite import recipe
from suite.errors import InputError
from suite.stages import Job
from suite.stages.data import Data
from suite.stages.networks import pretext_network, starting_backbone


def _holdout_size(holdout: dict | None, scope: str, available: int) -> int:
    """The paper's number on complete lists, the same fraction elsewhere but at least one video; none where none is kept."""
    if holdout is None:
        return 0
    if scope == "full":
        return holdout["videos"]
    return max(1, round(available * holdout["videos"] / holdout["of"]))


def pretrain(job: Job) -> dict:
    """Train a backbone by a pretext task, without labels, on the training list of one split."""
    from suite import papers
    from suite.evaluation import finetuning

    config, pretraining, video = job.config, job.config["pretraining"], job.config["video"]
    task = papers.pretext(pretraining["pretext"])
    data = Data(job, pretraining["dataset"])
    network = pretext_network(job)
    listed = data.dataset.splits[pretraining["split"]].train
    decoded = data.readable(listed)
    eligible = task.eligible(decoded, data.frames, pretraining, video)
    held = _holdout_size(config["holdout"], data.dataset.scope, len(eligible))
    if len(eligible) <= held:
        raise InputError(
            f"{data.root}: {len(eligible)} training videos are long enough for {pretraining['pretext']} pretraining, "
            f"and {held} are held out; this needs more or longer videos"
        )
    learnt, validation = finetuning.hold_out(eligible, held, config["seed"])
    counts = {"listed": len(listed), "decoded": len(decoded), "eligible": len(eligible)}

    def samples(videos: list, training: bool):
        return task.samples(data, videos, pretraining, video, seed=config["seed"], training=training)

    result = _fit(job, network, samples, learnt, validation, pretraining["optimisation"])
    return result | {"counts": counts | result["counts"]}


def finetune(job: Job) -> dict:
    """Train a network with labels on the training list of one split."""
    from suite.evaluation import finetuning

    config, settings = job.config, job.config["finetuning"]
    data = Data(job, config["dataset"])
    network = finetuning.RecognitionNetwork(starting_backbone(job), len(data.dataset.classes))
    listed = data.dataset.splits[config["split"]].train
    decoded = data.readable(listed)
    held = _holdout_size(config["holdout"], data.dataset.scope, len(decoded))
    rest, validation = finetuning.hold_out(decoded, held, config["seed"])
    learnt = finetuning.few_per_class(rest, settings["videos_per_class"], config["seed"])
    counts = {"listed": len(listed), "decoded": len(decoded)}
    source = data.source(config["video"]["resize"])
    common = {"clip_length": config["video"]["clip_length"], "crop": config["video"]["crop"], "seed": config["seed"]}

    def samples(videos: list, training: bool):
        return finetuning.RandomClips(source, videos, data.frames, training=training, **common)

    result = _fit(job, network, samples, learnt, validation, settings["optimisation"])
    return result | {"counts": counts | result["counts"]}


def _fit(job: Job, network, samples: Callable, learnt: list, validation: list, optimisation: dict) -> dict:
    """Train a network on `samples(videos, training)` of the training videos, watched on those of the validation videos."""
    from suite import training

    fitted = training.fit(
        network,
        samples(learnt, True),
        samples(validation, False) if validation else None,
        recipe.Optimisation(**optimisation),
        job.folder,
        seed=job.config["seed"],
        device=job.runtime.device,
        workers=job.runtime.workers,
        checkpoint_seconds=job.runtime.checkpoint_seconds,
        progress=job.runtime.progress,
        tensorboard=job.runtime.tensorboard,
    )
    (job.folder / "validation.txt").write_text("".join(f"{video.name}\n" for video in validation), encoding="utf-8")
    return {
        "curves": fitted["curves"],
        "counts": {"trained": len(learnt), "held_out": len(validation)},
        "facts": {"best_epoch": fitted["best_epoch"], "steps": fitted["steps"]},
    }


def import_checkpoint(job: Job) -> dict:
    """A checkpoint of another code base, rewritten as if it had been pretrained here."""
    from suite import checkpoints

    config = job.config
    imported = checkpoints.import_backbone(job.roots["checkpoint"], config["backbone"], config["width"])
    state = {f"backbone.{name}": tensor for name, tensor in imported.state.items()}
    checkpoints.save(state, job.folder / "best.safetensors", {"source": job.roots["checkpoint"].name})
    return {"facts": {"layout": imported.layout, "not_used": list(imported.unused)}}
