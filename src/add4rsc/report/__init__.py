"""Figures and reports: what people look at."""
