import re

from cospair import evaluation


def test_public_names_are_sorted_and_exist():
    assert evaluation.__all__ == sorted(evaluation.__all__)
    for name in evaluation.__all__:
        public = getattr(evaluation, name)
        assert public is evaluation.Rule or re.match(r"\w", public.__doc__)
