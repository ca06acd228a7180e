"""VCOP: the order of shuffled clips (Xu et al., CVPR 2019)."""
