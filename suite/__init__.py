"""What is reproduced: the science of the papers in PyTorch. Knows nothing of the harness or of reference tables."""
