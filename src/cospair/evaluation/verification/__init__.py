"""Verification: do two pictures show one identity?"""
