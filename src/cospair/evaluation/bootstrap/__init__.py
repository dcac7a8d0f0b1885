"""Intervals: bootstrap over identities, and exact ones for independent counts."""
