"""Calibration: probabilities from scores, and what they cost in bits."""
