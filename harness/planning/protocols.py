"""Protocols that can be turned into stages, and what plans each."""

from collections.abc import Callable

from harness.plan import Pretraining
from harness.planning import cost, pretexts, probes, questions, recognition, retrieval
from harness.planning.context import Context, Trial

# Adds the stages of a trial to the plan; returns the key of the one whose result it is.
Planner = Callable[[Context, Trial], str]

# Beside them are the scores of the pretrainings' tasks.
PROTOCOLS: dict[str, Planner] = {
    "training-curve": pretexts.training_curve,
    "finetuning-curve": recognition.finetuning_curve,
    "clip-retrieval": retrieval.retrieval,
    "layer-retrieval": retrieval.retrieval,
    "video-retrieval": retrieval.retrieval,
    "cross-retrieval": retrieval.cross_retrieval,
    "feature-space": retrieval.feature_space,
    "recognition": recognition.recognition,
    "aslan": probes.probe,
    "yupenn": probes.probe,
    "video-qa": questions.question_answering,
    "cost": cost.cost,
}
# Those that take clips out of whole test videos, whatever the network was trained for: a network from elsewhere can be measured
# under each, and a video that is shorter than a clip is repeated. The other ones ask a pretext task, or compare within a paper.
OF_WHOLE_VIDEOS = ("clip-retrieval", "video-retrieval", "recognition", "aslan", "yupenn", "video-qa")
# What papers tell of their tasks in other ways, and nobody runs.
TOLD = "pretext"
# Those that train with labels whatever the weights.
TRAINING = ("recognition", "finetuning-curve", "video-qa")


def planner(protocol: str) -> Planner:
    """What plans a protocol: what is none of the usual ones is the score of a pretext task."""
    return PROTOCOLS.get(protocol, pretexts.score)


def all_of(pretrainings: dict[str, Pretraining]) -> tuple[str, ...]:
    """The protocols that can be turned into stages under these pretrainings: the scores of their tasks, and the usual ones."""
    scores = dict.fromkeys(protocol for pretraining in pretrainings.values() for protocol in pretraining.scores)
    return (*scores, *PROTOCOLS)


def known(protocol: str, pretrainings: dict[str, Pretraining]) -> bool:
    """Whether a protocol can be turned into stages under these pretrainings."""
    return protocol in all_of(pretrainings)


def about_pretext(protocol: str) -> bool:
    """Whether a protocol asks a pretext network, head and all."""
    return protocol not in PROTOCOLS or protocol == "training-curve"
