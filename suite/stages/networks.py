"""The network that a stage starts from."""

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
    return task.network(starting_backbone(job), pretraining, job.config["video"])


def recognition_network(job: Job, classes: int):
    """The network that is fine-tuned: the starting backbone under a new classifier."""
    from torch import nn

    from suite.evaluation.finetuning import RecognitionNetwork
    from suite.papers import mas

    settings, backbone = job.config["finetuning"], starting_backbone(job)
    if settings["head"] == "three-layer":
        classifier = mas.fully_connected(backbone, classes)
    else:
        classifier = nn.Linear(backbone.feature_size, classes)
    return RecognitionNetwork(backbone, classifier, job.config["video"]["pixels"], settings["freeze_below"])
