"""Verification over all pairs of sets too large to hold their scores."""
