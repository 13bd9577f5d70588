"""Adaptive differential denoising (ADD): the paper, part by part."""
