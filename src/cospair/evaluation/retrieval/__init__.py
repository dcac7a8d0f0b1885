"""Retrieval: is the right identity at the top of the ranked gallery?"""
