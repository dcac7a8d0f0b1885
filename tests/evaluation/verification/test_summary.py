import numpy as np
import pytest
from scipy.stats import binomtest

from cospair.evaluation.verification.figures import pair_figures


@pytest.mark.parametrize("far", [1.0, 0.3, 0.1])
def test_intervals_of_independent_pairs_are_binomial(far):
    rng = np.random.default_rng(1)
    same = np.repeat([True, False], [40, 60])
    scores = np.round(rng.normal(size=100) + same, 1)
    found = pair_figures(scores, same, far=(far, 0.001), independent=True)
    point, scarce = found["tar_at_far"]
    accepted = int((scores[same] >= point["threshold"]).sum())
    exact = binomtest(accepted, 40).proportion_ci(0.95, method="exact")
    # scipy solves for the ends to some 1e-12
    np.testing.assert_allclose(point["tar_interval"], [exact.low, exact.high], rtol=0, atol=1e-9)
    assert (point["tar"], point["note"]) == (accepted / 40, "")
    assert scarce["tar"] is scarce["tar_interval"] is None
    assert scarce["note"].startswith("insufficient data: 60 impostor pairs")
    how = found["interval"]
    assert (how["method"], how["resamples"]) == ("Clopper-Pearson of independent pairs", 0)
    assert how["notes"] == dict.fromkeys(
        ("auc", "eer"), "no interval: Clopper-Pearson is of counts at one threshold"
    )


def test_no_genuine_pair_of_some_is_not_no_interval():
    """Where none passes, "no variation seen" would be wrong: the binomial interval has a width."""
    found = pair_figures([0.9, 0.1, 0.1], [0, 1, 1], far=(0.5,), independent=True)
    assert found["tar_at_far"][0]["tar"] is None
    found = pair_figures([0.9, 0.5, 0.1, 0.1], [0, 0, 1, 1], far=(0.5,), independent=True)
    assert found["tar_at_far"][0]["tar"] == 0.0
    low, high = found["tar_at_far"][0]["tar_interval"]
    assert (low, round(high, 4)) == (0.0, 0.8419)  # 1 - 0.025 ** (1 / 2)
