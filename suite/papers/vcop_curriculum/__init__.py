"""VCOP with curricula (Xiao et al., TMM)."""
