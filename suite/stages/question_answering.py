"""Stages of video question answering: the model on frozen clip features, and what questions alone give (vcop-curriculum)."""

import json
from collections.abc import Sequence

from suite.errors import InputError
from suite.stages import Job
from suite.stages.data import Data
from suite.stages.training import train

# Questions whose attention is shown, spread over the test part.
SHOWN = 6


class _Questions:
    """The questions of a dataset that can be asked, and the words they are read by."""

    def __init__(self, job: Job):
        from suite.datasets import activitynet_qa
        from suite.evaluation.question_answering.vocabulary import UNKNOWN, Vocabulary, answer_vocabulary, drawn, glove

        settings = job.config["question_answering"]
        self.data = Data(job, job.config["dataset"])
        there = {video.name for video in self.data.dataset.videos()}
        self.parts: dict[str, Sequence] = {}
        self.counts: dict[str, int] = {}
        for part, questions in activitynet_qa.questions(self.data.root, job.config["dataset"]).items():
            listed, _ = activitynet_qa.askable(questions, there)
            asked, _ = activitynet_qa.askable(listed, self.data.frames)
            if not asked:
                raise InputError(
                    f"{self.data.root}: not one question of {part}_q.json is about a video that can be read; "
                    f"get videos of that part again"
                )
            self.parts[part] = asked
            self.counts |= {f"{part}_questions": len(questions), f"{part}_without_video": len(questions) - len(asked)}
            if part == "test":
                # As others count videos: about those that are there, and about those of them that can be read.
                self.counts |= {"listed": len(listed), "decoded": len(asked)}
        self.vocabulary = Vocabulary(question.text for question in self.parts["train"])
        self.answers = answer_vocabulary(self.parts["train"], settings["answers"])
        size, seed = settings["hidden"], job.config["seed"]
        if "glove" in job.roots:
            self.embeddings = glove(job.roots["glove"], self.vocabulary, size, seed)
        else:
            self.embeddings = drawn(self.vocabulary, size, seed)
        self.facts = {
            "words": len(self.vocabulary),
            "words_covered": self.embeddings.words_covered,
            "tokens_covered": self.embeddings.tokens_covered,
            "answers": len(self.answers),
        }
        words, tokens = len(self.vocabulary) - UNKNOWN - 1, sum(self.vocabulary.counts)
        self.counts |= {"words": words, "tokens": tokens}
        if "glove" in job.roots:
            self.counts["words_with_vector"] = round(words * self.embeddings.words_covered)
            self.counts["tokens_with_vector"] = round(tokens * self.embeddings.tokens_covered)

    def items(self, part: str, features, rows: dict[str, int]):
        """The questions of a part with the features of their videos."""
        from suite.evaluation.question_answering.network import QuestionItems

        return QuestionItems(self.parts[part], self.vocabulary, self.answers, features, rows, training=part == "train")

    def types(self) -> list[int]:
        """The types of the test questions."""
        return [question.type for question in self.parts["test"]]


def _answered(job: Job, asked: _Questions, features, rows: dict[str, int], *, video: bool):
    """A network trained on the questions of train and chosen by those of val: what its training gave, and its test answers."""
    from suite import checkpoints
    from suite.evaluation.question_answering.answers import answer
    from suite.evaluation.question_answering.network import SoftAttention, standard
    from suite.seeding import seed_everything

    settings = job.config["question_answering"]
    training, watched, test = (asked.items(part, features, rows) for part in ("train", "val", "test"))
    learnt = sorted({rows[question.video] for question in asked.parts["train"]})
    seed_everything(job.config["seed"])
    network = SoftAttention(
        asked.embeddings.vectors,
        len(asked.answers),
        standard(features[learnt]),
        hidden=settings["hidden"],
        dropout=settings["dropout"],
        video=video,
    )
    fitted = train(job, network, training, watched, settings["optimisation"])
    network.load_state_dict(checkpoints.load(job.folder / "best.safetensors"))
    runtime, batch = job.runtime, settings["optimisation"]["batch"]
    found = answer(network, test, batch, runtime.device, runtime.progress, workers=runtime.workers)
    fitted["counts"] |= {"unanswerable_in_training": training.left_out, "unanswerable": test.targets.count(-1)}
    return fitted, found


def baseline(job: Job) -> dict:
    """What can be had without the video: the most frequent answers, and a network that reads the question alone."""
    import numpy as np

    from suite.evaluation.question_answering.answers import by_type, most_frequent

    asked = _Questions(job)
    rows = {name: row for row, name in enumerate(asked.data.frames)}
    fitted, found = _answered(job, asked, np.zeros((len(rows), 1, 1), np.float32), rows, video=False)
    frequent = most_frequent(asked.parts["train"], asked.parts["test"])
    tallies = {
        "question_only": by_type(found.hits, asked.types()),
        "most_frequent": frequent.overall,
        "most_frequent_of_type": frequent.of_type,
    }
    scores = {
        f"{name}_{kind}": 100 * t.correct / t.total for name, tally in tallies.items() for kind, t in tally.items()
    }
    return fitted | {"scores": scores, "counts": asked.counts | fitted["counts"], "facts": asked.facts}


def video_qa(job: Job) -> dict:
    """Answers to the test questions from clip features, by type and in all, beside the baselines; a picture of attention."""
    import numpy as np

    from suite.evaluation.question_answering.answers import by_type

    asked = _Questions(job)
    folder, parts = job.inputs["features"], []
    rows: dict[str, int] = {}
    for part in ("train", "test"):
        names = json.loads((folder / f"{part}.json").read_text(encoding="utf-8"))["names"]
        rows |= {name: len(rows) + place for place, name in enumerate(names)}
        parts.append(np.load(folder / f"{part}.npy"))
    features = np.concatenate(parts)
    fitted, found = _answered(job, asked, features, rows, video=True)
    tallies = by_type(found.hits, asked.types())
    before = json.loads((job.inputs["baseline"] / "result.json").read_text(encoding="utf-8"))["result"]["scores"]
    counts = {"total": tallies["all"].total} | asked.counts | fitted["counts"]
    for kind, tally in tallies.items():
        counts |= {f"asked_{kind}": tally.total, f"correct_{kind}": tally.correct}
    _picture(job, asked, found, features.shape[1])
    return fitted | {
        "scores": {kind: 100 * tally.correct / tally.total for kind, tally in tallies.items()} | before,
        "counts": counts,
        "outcomes": {
            "groups": [question.video for question in asked.parts["test"]],
            "trials": 1,
            "hits": {"all": [int(hit) for hit in found.hits]},
        },
        "facts": fitted["facts"] | asked.facts,
        "pictures": ["attention.png"],
    }


def _picture(job: Job, asked: _Questions, found, clips: int) -> None:
    """The attention of a few test questions, over the middle frames of their video's clips."""
    from suite.evaluation.question_answering.picture import attention_picture
    from suite.video.clips import evenly_spaced_starts

    video, questions = job.config["video"], asked.parts["test"]
    shown = sorted({place * (len(questions) - 1) // max(SHOWN - 1, 1) for place in range(SHOWN)})
    source = asked.data.source(video["resize"])
    frames, texts = [], []
    for place in shown:
        question = questions[place]
        length = asked.data.frames[question.video]
        starts = evenly_spaced_starts(length, video["clip_length"], clips)
        middle = [min(start + video["clip_length"] // 2, length - 1) for start in starts]
        distinct = sorted(set(middle))
        read = dict(zip(distinct, source.frames(question.video, distinct).numpy(), strict=True))
        frames.append([read[frame] for frame in middle])
        texts.append((question.text, asked.answers[found.predictions[place]], question.answer))
    attention_picture(frames, found.attention[shown], texts, job.folder / "attention.png")
