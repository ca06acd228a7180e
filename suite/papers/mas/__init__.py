"""MAS: motion and appearance statistics (Wang et al., CVPR 2019)."""
