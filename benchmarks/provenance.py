"""What a row must carry to be believed later, for the scripts beside this file."""

from cospair.bench.provenance import provenance, save

__all__ = ["provenance", "save"]
