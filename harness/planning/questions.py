"""Questions about videos (ActivityNet-QA), answered from features of clips, beside what needs no video."""

from harness.planning.context import TRAINING_PASSES, Context, Trial, given
from harness.planning.retrieval import features

# Of ActivityNet-QA on average, and the values that its question model compares, for estimates only.
QUESTIONS_OF_VIDEO, WORDS_OF_QUESTION, COMPARED = 10, 9, 256


def question_answering(context: Context, trial: Trial) -> str:
    """A network that reads question and clips, and one that reads the question alone."""
    answering, dataset = context.settings["question_answering"], trial.dataset
    of_clips = features(context, trial, clips=answering["clips"], pooling="global")
    config = {
        "dataset": dataset,
        "seed": trial.seed,
        "video": context.video(),
        "question_answering": given({key: value for key, value in answering.items() if key != "clips"}),
        "threads": context.threads(),
    }
    inputs, datasets = context.data_inputs(dataset), [dataset]
    if "glove" in context.data:
        datasets.append("glove")
    # An LSTM over the words; 512 values of every clip, brought to those that are compared.
    words = WORDS_OF_QUESTION * 8 * answering["hidden"] ** 2
    clips = answering["clips"] * 8 * context.settings["width"] * COMPARED
    passes = answering["optimisation"]["epochs"] * TRAINING_PASSES
    passes *= context.videos(dataset, trial.split)[0] * QUESTIONS_OF_VIDEO
    baseline = context.stage("question-baseline", config, inputs, datasets, passes * words / 1e9)
    inputs = inputs | {"features": of_clips, "baseline": baseline}
    return context.stage("video-qa", config, inputs, datasets, passes * (words + clips) / 1e9)
