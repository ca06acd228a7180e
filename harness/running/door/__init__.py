"""The harness's only door to the suite: recipes, facts of data and networks, and stages. Nothing else here imports it."""

from typing import TYPE_CHECKING

from harness.running.door.data import (
    Data,
    check_dataset,
    dataset,
    dataset_files,
    dataset_names,
    datasets_in,
    holds,
    measurable,
    official_data,
    official_splits,
    question_types,
    real_data,
    synthetic_data,
    with_glove,
)
from harness.running.door.faults import suite_errors
from harness.running.door.networks import backbones, from_elsewhere, input_words, refuse_other_weights
from harness.running.door.recipes import (
    add_papers,
    elsewhere,
    heavy,
    load_recipe,
    paper_that_evaluates,
    papers_with_recipe,
    pretraining_facts,
    recipe_file,
    recipe_for,
    scales,
)
from harness.running.door.stages import protocol_versions, regression_slice, run_stage, stage_versions, suite_facts

if TYPE_CHECKING:
    # Under the door's name for the rest of the harness.
    from suite.datasets import Dataset
    from suite.recipe import Recipe

__all__ = [
    "Data",
    "Dataset",
    "Recipe",
    "add_papers",
    "backbones",
    "check_dataset",
    "dataset",
    "dataset_files",
    "dataset_names",
    "datasets_in",
    "elsewhere",
    "from_elsewhere",
    "heavy",
    "holds",
    "input_words",
    "load_recipe",
    "measurable",
    "official_data",
    "official_splits",
    "paper_that_evaluates",
    "papers_with_recipe",
    "pretraining_facts",
    "protocol_versions",
    "question_types",
    "real_data",
    "recipe_file",
    "recipe_for",
    "refuse_other_weights",
    "regression_slice",
    "run_stage",
    "scales",
    "stage_versions",
    "suite_errors",
    "suite_facts",
    "synthetic_data",
    "with_glove",
]
