from random import Random

from hypothesis import given
from hypothesis import strategies as st

from oasis_jax.volumes.neighbours import neighbour_rows


def test_the_ends_of_a_case_are_repeated_and_cases_do_not_mix() -> None:
    slices = [("a", 0), ("a", 1), ("a", 2), ("b", 3), ("b", 4)]
    assert neighbour_rows(slices, 1).tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 2], [3, 3, 4], [3, 4, 4]]
    assert neighbour_rows(slices, 2).tolist()[0] == [0, 0, 0, 1, 2]
    assert neighbour_rows(slices, 0).tolist() == [[0], [1], [2], [3], [4]]
    assert neighbour_rows([], 1).shape == (0, 3)
    assert neighbour_rows([("a", 0), ("a", 2), ("a", 3)], 2).tolist()[0] == [0, 0, 0, 0, 1]


@given(st.sets(st.tuples(st.sampled_from("ab"), st.integers(0, 9)), min_size=1), st.integers(0, 3), st.randoms())
def test_neighbours_follow_names_not_order(names: set[tuple[str, int]], reach: int, random: Random) -> None:
    slices = sorted(names)
    shuffled = slices.copy()
    random.shuffle(shuffled)
    ordered = {slices[i]: [slices[j] for j in row] for i, row in enumerate(neighbour_rows(slices, reach))}
    other = {shuffled[i]: [shuffled[j] for j in row] for i, row in enumerate(neighbour_rows(shuffled, reach))}
    assert ordered == other
    for name, channels in ordered.items():
        assert channels[reach] == name
        for distance, neighbour in enumerate(channels, -reach):
            assert neighbour[0] == name[0]
            assert (neighbour[0], name[1] + distance) not in names or neighbour[1] == name[1] + distance
