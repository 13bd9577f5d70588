"""How a trained network fares when its test cycles are noisy, muffled or clipped; nothing here is for training."""
