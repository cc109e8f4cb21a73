from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from likelihead.train.table.data.hashing import hash_rows, in_test, key

MASK = (1 << 64) - 1


def splitmix64_output(state: int) -> int:
    """Vigna's C code of the generator's next(), line by line."""
    z = (state + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_the_oracle_is_splitmix64() -> None:
    # The first output of the published generator for the seed 1234567.
    assert splitmix64_output(1234567) == 6457827717110365317


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=20), st.integers(0, MASK))
def test_rows_are_hashed_twice_with_the_key_between(rows: list[int], order: int) -> None:
    expected = [splitmix64_output(splitmix64_output(row) ^ order) for row in rows]
    assert hash_rows(np.array(rows, dtype=np.int64), order).tolist() == expected


def test_negative_and_huge_seeds_are_keys() -> None:
    assert len({key(0), key(-1), key(2**64 - 2), key(1), key(0, 0), key(1, 0), key(0, 1)}) == 7


def test_the_split_keeps_its_fraction_for_every_seed() -> None:
    rows = np.arange(1, 20_001)
    for seed in range(20):
        # Six standard deviations of a binomial share.
        assert abs(in_test(rows, seed, 0.2).mean() - 0.2) < 6 * (0.16 / 20_000) ** 0.5


def test_splits_of_two_seeds_are_independent() -> None:
    rows = np.arange(1, 20_001)
    both = in_test(rows, 0, 0.5) & in_test(rows, 1, 0.5)
    assert abs(both.mean() - 0.25) < 6 * (0.1875 / 20_000) ** 0.5
