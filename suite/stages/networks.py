"""The networks of stages: what they start from, and what they cost."""

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
    """The pretext network of a configuration: the starting backbone under the task's own head."""
    from suite import papers

    pretraining = job.config["pretraining"]
    task = papers.pretext(pretraining["pretext"])
    network = task.network(starting_backbone(job), pretraining, job.config["video"])
    if "views" in job.inputs:
        network.views = _views(job)
    return network


def _views(job: Job):
    """The autoencoder of an input stage, which makes views and does not learn any more."""
    from suite import checkpoints
    from suite.papers.srop.view_network import Autoencoder

    state, prefix = checkpoints.load(job.inputs["views"] / "best.safetensors"), "autoencoder."
    own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    return Autoencoder.from_state(own).eval().requires_grad_(False)


def recognition_network(job: Job, classes: int):
    """The network that is fine-tuned: the starting backbone under a new classifier."""
    from torch import nn

    from suite.evaluation.finetuning import RecognitionNetwork
    from suite.papers.mas import statistics_network

    settings, backbone = job.config["finetuning"], starting_backbone(job)
    if settings["head"] == "three-layer":
        classifier = statistics_network.fully_connected(backbone, classes)
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

    from suite import backbones, papers
    from suite.backbones import trying

    config = job.config
    # A network from elsewhere may not be made, or run, without content.
    with nullcontext() if backbones.is_foreign(config["backbone"]) else torch.device("meta"):
        backbone = counted = starting_backbone(job)
        if "pretraining" in config:
            task = papers.pretext(config["pretraining"]["pretext"])
            counted = task.network(backbone, config["pretraining"], config["video"])
        passes = trying.multiply_accumulates(backbone, clip_shape(config["video"]), config.get("clips", 1))
        parameters = sum(parameter.numel() for parameter in counted.parameters() if parameter.requires_grad)
        if "views" in config:
            from suite.papers.srop import view_synthesis

            made = view_synthesis.network(starting_backbone(job), config["views"], config["video"])
            parameters += sum(parameter.numel() for parameter in made.autoencoder.parameters())
    scores = {"parameters": parameters / 1e6, "gmacs": passes / 1e9}
    return {"scores": scores, "facts": {"clip": list(clip_shape(config["video"]))}}
