"""The networks of stages: what they start from, and what they cost."""

from suite import tasks
from suite.stages import Job


def starting_backbone(job: Job):
    """The backbone of a stage: freshly initialised by the seed, or as an input stage left it."""
    from suite import backbones, checkpoints
    from suite.seeding import seed_everything

    config = job.config
    seed_everything(config["seed"])
    network = backbones.build(config["backbone"], config["width"], clip_shape(config["video"]))
    if "pretrain" in job.inputs:
        state = checkpoints.load(job.inputs["pretrain"] / "best.safetensors")
        prefix = "backbone."
        network.load_state_dict({name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)})
    return network


def clip_shape(video: dict) -> tuple[int, int, int]:
    """Frames, height and width of a clip as a network sees it."""
    return (video["clip_length"], video["crop"], video["crop"])


def pretext_network(job: Job):
    """The pretext network of a configuration: the starting backbone under the task's own head, and the networks it needs."""
    from suite import checkpoints

    pretraining = job.config["pretraining"]
    network = _built(job, pretraining, starting_backbone(job))
    # Roles of data name their dataset behind a colon.
    for role in (role for role in job.inputs if ":" not in role and role != "pretrain"):
        tasks.find(pretraining["pretext"]).attach(
            network, role, checkpoints.load(job.inputs[role] / "best.safetensors")
        )
    return network


def recognition_network(job: Job, classes: int):
    """The network that is fine-tuned: the starting backbone under a new classifier."""
    from torch import nn

    from suite.evaluation import heads
    from suite.evaluation.finetuning import RecognitionNetwork

    settings, backbone = job.config["finetuning"], starting_backbone(job)
    classifier: nn.Module
    if settings["head"] == "three-layer":
        classifier = heads.fully_connected(backbone, classes)
    else:
        classifier = nn.Linear(backbone.feature_size, classes)
    return RecognitionNetwork(backbone, classifier, job.config["video"]["pixels"], settings["freeze_below"])


def cost(job: Job) -> dict:
    """Parameters that a pretraining holds, but for the encoder of keys, and multiply-accumulates of its backbone for one clip,
    or for as many as the configuration says.

    Counted on tensors without content: nothing is computed. Of a network that is not pretrained: the backbone alone.
    """
    from contextlib import nullcontext

    import torch

    from suite import backbones
    from suite.backbones import trying

    config = job.config
    # A network from elsewhere may not be made, or run, without content.
    with nullcontext() if backbones.is_foreign(config["backbone"]) else torch.device("meta"):
        backbone = counted = starting_backbone(job)
        if "pretraining" in config:
            counted = _built(job, config["pretraining"], backbone)
        passes = trying.multiply_accumulates(backbone, clip_shape(config["video"]), config.get("clips", 1))
        learning = [parameter for parameter in counted.parameters() if parameter.requires_grad]
        built = set(counted.parameters())
        for role, settings in config.get("networks", {}).items():
            other = _built(job, settings, starting_backbone(job))
            tasks.find(config["pretraining"]["pretext"]).attach(counted, role, other.state_dict())
        attached = [parameter for parameter in counted.parameters() if parameter not in built]
        parameters = sum(parameter.numel() for parameter in (*learning, *attached))
    scores = {"parameters": parameters / 1e6, "gmacs": passes / 1e9}
    return {"scores": scores, "facts": {"clip": list(clip_shape(config["video"]))}}


def _built(job: Job, pretraining: dict, backbone):
    """The network of a pretraining on a backbone, without those that it needs."""
    return tasks.find(pretraining["pretext"]).network(backbone, pretraining, job.config["video"])
