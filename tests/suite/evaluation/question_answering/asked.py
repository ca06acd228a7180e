"""Questions about a small world, in which one clip of a video holds the colour of each thing."""

import numpy as np
import torch

from suite import training
from suite.datasets.activitynet_qa import Question
from suite.evaluation.question_answering.network import QuestionItems, SoftAttention, standard
from suite.evaluation.question_answering.vocabulary import Vocabulary, answer_vocabulary, drawn
from suite.settings import Optimisation

CLIPS = 20
THINGS, COLOURS = ("ball", "rope", "horse", "kayak"), ("red", "green", "blue", "white")


def question(text: str, answer: str = "yes", kind: int = 3, video: str = "v0", id_: str = "q") -> Question:
    return Question(id_, video, text, answer, kind)


def world(videos: int, seed: int) -> tuple[list[Question], np.ndarray, np.ndarray]:
    """Questions, features on a scale that no network would like, and the clip that holds each question's answer."""
    draw = np.random.default_rng(seed)
    features = 0.3 * draw.standard_normal((videos, CLIPS, 12))
    questions, places = [], []
    for video in range(videos):
        for thing, clip in enumerate(draw.permutation(CLIPS)[: len(THINGS)]):
            colour = int(draw.integers(len(COLOURS)))
            features[video, clip, [thing, 4 + colour]] += 3
            text = f"what color is the {THINGS[thing]} in the video"
            questions.append(question(text, COLOURS[colour], 4, f"v{video}", f"v{video}_{thing}"))
            places.append(clip)
    return questions, (5 + 100 * features).astype(np.float32), np.array(places)


def rows(videos: int) -> dict[str, int]:
    return {f"v{video}": video for video in range(videos)}


class World:
    """Training and held-out items of the small world, and a network for them."""

    def __init__(self, videos: int = 300, **network):
        questions, features, _ = world(videos, 0)
        asked, unseen, self.places = world(100, 1)
        self.vocabulary, self.answers = Vocabulary(each.text for each in questions), answer_vocabulary(questions)
        self.training = QuestionItems(questions, self.vocabulary, self.answers, features, rows(videos), training=True)
        self.test = QuestionItems(asked, self.vocabulary, self.answers, unseen, rows(100), training=False)
        torch.manual_seed(0)
        vectors = drawn(self.vocabulary, 16).vectors
        self.network = SoftAttention(vectors, len(self.answers), standard(features), hidden=24, common=64, **network)

    def fit(self, folder, epochs: int = 4, **how) -> dict:
        folder.mkdir(exist_ok=True)
        how = {"seed": 0, "device": "cpu"} | how
        optimisation = Optimisation(
            optimiser="adam",
            batch=32,
            epochs=epochs,
            learning_rate=3e-3,
            weight_decay=0.0,
            precision="fp32",
            keep="best-accuracy",
        )
        return training.fit(self.network, self.training, self.test, optimisation, folder, **how)
