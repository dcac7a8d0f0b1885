"""Thresholds with a pedigree: chosen on calibration people, kept as artefacts."""
