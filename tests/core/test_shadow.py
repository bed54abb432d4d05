"""The rule."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from domination.shadow import ShadowType, judge, judge_all

integers = st.integers() | st.integers(-(10**40), 10**40)


@given(integers)
@example(0)
@example(-9)
def test_every_integer_is_judged_by_what_divides_it(rating: int) -> None:
    expected = {
        (True, True): ShadowType.SHADOW,
        (True, False): ShadowType.SHA,
        (False, True): ShadowType.DOW,
        (False, False): ShadowType.INCOMPATIBLE,
    }[rating % 3 == 0, rating % 5 == 0]
    assert judge(rating) is expected


@given(integers, st.integers(-5, 5))
def test_the_rule_has_the_period_15(rating: int, periods: int) -> None:
    assert judge(rating) is judge(rating + 15 * periods)


@given(st.lists(integers))
def test_many_are_judged_as_one_by_one(ratings: list[int]) -> None:
    assert judge_all(ratings) == [judge(rating) for rating in ratings]


def test_the_wire_and_the_people_have_names_for_each_type() -> None:
    assert {int(shadow): shadow.label for shadow in map(ShadowType, range(4))} == {
        0: "Incompatible",
        1: "Sha",
        2: "Dow",
        3: "ShaDow",
    }
