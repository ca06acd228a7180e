"""Stages that leave weights: pretraining by a pretext task, fine-tuning, and checkpoints of other code."""

import json

from suite import tasks
from suite.errors import InputError
from suite.settings import Optimisation
from suite.stages import Job
from suite.stages.data import Data
from suite.stages.networks import pretext_network, recognition_network

# Names of the videos that were not trained on, in the folder of a stage.
HELD_OUT = "validation.txt"
# One number an epoch, by name.
CURVES = "curves.json"


def _holdout_size(holdout: dict | None, scope: str, available: int) -> int:
    """The paper's number on complete lists, the same fraction elsewhere but at least one video; none where none is kept."""
    if holdout is None:
        return 0
    if scope == "full":
        return holdout["videos"]
    return max(1, round(available * holdout["videos"] / holdout["of"]))


def pretrain(job: Job) -> dict:
    """Train a backbone by a pretext task, without labels, on the training list of one split."""
    from suite.evaluation import finetuning

    config, pretraining, video = job.config, job.config["pretraining"], job.config["video"]
    task = tasks.find(pretraining["pretext"])
    data = Data(job, pretraining["dataset"])
    network = pretext_network(job)
    listed = data.dataset.splits[pretraining["split"]].train
    decoded = data.readable(listed)
    eligible = task.eligible(decoded, data.frames, pretraining, video)
    held = _holdout_size(config["holdout"], data.dataset.scope, len(eligible))
    if len(eligible) <= held:
        raise InputError(
            f"{data.root}: {len(eligible)} training videos are long enough for {task.NAME} pretraining, "
            f"and {held} are held out; this needs more or longer videos"
        )
    learnt, validation = finetuning.hold_out(eligible, held, config["seed"], _held_out_before(job))
    training, watched = (
        task.samples(data, videos, pretraining, video, seed=config["seed"], training=shown)
        for videos, shown in ((learnt, True), (validation, False))
    )
    counts = {"listed": len(listed), "decoded": len(decoded), "eligible": len(eligible)}
    optimisation = pretraining["optimisation"]
    if hasattr(task, "resume"):
        runtime = job.runtime
        training, epochs, more = task.resume(
            network,
            training,
            pretraining,
            weights=job.inputs["pretrain"] / "best.safetensors",
            folder=job.folder,
            device=runtime.device,
            workers=runtime.workers,
            progress=runtime.progress,
        )
        optimisation, counts = optimisation | {"epochs": epochs}, counts | more
    result = train(job, network, training, watched, optimisation)
    _name_held_out(job, validation)
    return result | {"counts": counts | result["counts"] | {"held_out": len(validation)}}


def _held_out_before(job: Job) -> frozenset[str]:
    """Names of the videos that the pretraining which this one starts from held out."""
    if "pretrain" not in job.inputs:
        return frozenset()
    return frozenset((job.inputs["pretrain"] / HELD_OUT).read_text(encoding="utf-8").splitlines())


def _name_held_out(job: Job, videos: list) -> None:
    (job.folder / HELD_OUT).write_text("".join(f"{video.name}\n" for video in videos), encoding="utf-8")


def finetune(job: Job) -> dict:
    """Train a network with labels on the training list of one split."""
    from suite.evaluation import finetuning

    config, settings = job.config, job.config["finetuning"]
    data = Data(job, config["dataset"])
    network = recognition_network(job, len(data.dataset.classes))
    listed = data.dataset.splits[config["split"]].train
    decoded = data.readable(listed)
    held = _holdout_size(config["holdout"], data.dataset.scope, len(decoded))
    rest, validation = finetuning.hold_out(decoded, held, config["seed"])
    learnt = finetuning.few_per_class(rest, settings["videos_per_class"], config["seed"])
    source = data.source(config["video"]["resize"])
    shown = {"clip_length": config["video"]["clip_length"], "crop": config["video"]["crop"], "seed": config["seed"]}
    shown |= {"stride": settings["stride"], "every": settings["clips"] == "all", "flip": settings["flip"]}
    shown |= {"jitter": settings["jitter"]}
    training, watched = (
        finetuning.ActionClips(source, videos, data.frames, training=shuffled, **shown)
        for videos, shuffled in ((learnt, True), (validation, False))
    )
    result = train(job, network, training, watched, settings["optimisation"])
    _name_held_out(job, validation)
    counts = {"listed": len(listed), "decoded": len(decoded), "held_out": len(validation)}
    return result | {"counts": counts | result["counts"]}


def train(job: Job, network, training, watched, optimisation: dict) -> dict:
    """Train a network on samples of the training videos, watched on those of the validation videos if there are any."""
    from suite.training import fit

    fitted = fit(
        network,
        training,
        watched if len(watched) else None,
        Optimisation(**optimisation),
        job.folder,
        seed=job.config["seed"],
        device=job.runtime.device,
        workers=job.runtime.workers,
        checkpoint_seconds=job.runtime.checkpoint_seconds,
        progress=job.runtime.progress,
        tensorboard=job.runtime.tensorboard,
    )
    (job.folder / CURVES).write_text(json.dumps(fitted["curves"]) + "\n", encoding="utf-8")
    return {
        "curves": fitted["curves"],
        "counts": {"trained": len(training)},
        "facts": {"best_epoch": fitted["best_epoch"], "steps": fitted["steps"]},
    }


def import_checkpoint(job: Job) -> dict:
    """A checkpoint of another code base, rewritten as if it had been pretrained here."""
    from suite import checkpoints

    config = job.config
    imported = checkpoints.import_backbone(job.roots["checkpoint"], config["backbone"], config["width"])
    state = {f"backbone.{name}": tensor for name, tensor in imported.state.items()}
    checkpoints.save(state, job.folder / "best.safetensors", {"source": job.roots["checkpoint"].name})
    facts = {"layout": imported.layout, "wrapper": imported.wrapper, "prefix": imported.prefix}
    return {"facts": facts | {"counters_absent": imported.counters_absent, "not_used": imported.modules}}


def inflate(job: Job) -> dict:
    """ImageNet weights of a 2D ResNet-18 inflated to the 3D one, as if it had been pretrained here (Skip-Clip Table 1)."""
    from suite import checkpoints

    path = job.roots["imagenet"]
    state = {f"backbone.{name}": tensor for name, tensor in checkpoints.import_imagenet(path).items()}
    checkpoints.save(state, job.folder / "best.safetensors", {"source": path.name})
    return {}
