"""Skip-Clip: coming frames ranked by a context clip (El-Nouby et al., 2019)."""
