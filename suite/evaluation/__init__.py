"""The downstream protocols: features, retrieval, recognition."""
