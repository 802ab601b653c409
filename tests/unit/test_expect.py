"""Waiting in a check: until something holds, for a broker that is away as for anything else, and what is said when it never does."""

import pytest

from celerylab.verify.expect import BrokerUnreachableError, NotAsExpectedError, poll, wait_for

pytestmark = pytest.mark.unit


def later(*answers: object):
    """Each answer in turn, the last for ever; an exception is raised."""
    left = list(answers)

    def look_now() -> object:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return look_now


def test_a_poll_ends_with_the_first_thing_that_is_true() -> None:
    assert poll(later(None, BrokerUnreachableError("refused"), 0, 7, 8), 5, every=0) == 7


@pytest.mark.parametrize(("answers", "last"), [(("", 0), 0), ((1 == 2, BrokerUnreachableError("refused")), None)])
def test_a_poll_that_runs_out_of_time_says_what_it_saw_last(answers: tuple[object, ...], last: object) -> None:
    assert poll(later(*answers), 0.05, every=0.01) == last


def test_a_poll_without_time_looks_once() -> None:
    assert poll(later("there", ""), -3) == "there"


def test_other_errors_are_not_waited_for() -> None:
    with pytest.raises(ValueError, match="wrong"):
        poll(later(ValueError("wrong")), 5)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ((None,), "red within 0.05 s"),
        ((None, BrokerUnreachableError("refused")), "red within 0.05 s; refused"),
        ((BrokerUnreachableError("refused"), None), "red within 0.05 s"),
    ],
)
def test_a_wait_that_runs_out_of_time_fails_and_says_of_a_broker_that_is_still_away(answers: tuple[object, ...], said: str) -> None:
    with pytest.raises(NotAsExpectedError) as failure:
        wait_for(later(*answers), 0.05, expected="green", observed="red", look="paint", every=0.01, shade=3)
    assert (failure.value.observed, failure.value.expected, failure.value.look) == (said, "green", "paint")
    assert failure.value.evidence == {"shade": 3}
