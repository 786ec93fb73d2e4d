import numpy as np

from oasis_jax.metrics import aggregate


def test_sums_of_narrow_numbers_do_not_overflow() -> None:
    many = np.full((2**10, 1), 2**24 + 1, np.int32)
    assert aggregate.sums(many, ["a"] * len(many))[1].item() == 2**10 * (2**24 + 1)
    odd = np.array([[2**24], [1.0]], np.float32)  # a float32 cannot hold their sum
    assert aggregate.sums(odd, ["a", "a"])[1].item() == 2**24 + 1
