"""What the fuzzer of the pair loss is made of; tests/fuzz.py runs it."""
