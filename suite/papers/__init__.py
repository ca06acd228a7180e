"""The papers: a folder each, of a recipe, pretext tasks (suite/tasks.py), their parts, and the paper's picture."""
