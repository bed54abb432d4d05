"""What an observer hears of a transaction: what it held, and nothing of one that was aborted."""

from __future__ import annotations

from domination.exactly_once.batch import Fault, Outcome, Records, Reject
from domination.exactly_once.tally import SAMPLED, Tally

TOO_LARGE = Fault("too_large", "no topic takes it")


def test_what_is_written_again_after_an_abort_counts_once() -> None:
    tally = Tally()
    for now in (1.0, 2.0, 3.0):
        tally.begin(now)
        records = Records("orders", [b""] * 3, timestamps=[7, 8, 9])
        rejects = [Reject(0, Fault("bad", "")), Reject(2, Fault("old", ""), dropped=True)]
        tally.read(records)
        tally.wrote(Outcome(records, [b"x"], [1], rejects, kinds=b"\3"), ())
    assert tally.committed(3.5) == (3, [b"\3"], {"bad": 1}, {"old": 1}, [7], 0.5)


def test_a_value_that_no_topic_takes_is_a_reject_and_no_kind() -> None:
    tally = Tally()
    records = Records("orders", [b""] * 4)
    tally.read(records)
    outcome = Outcome(records, [b"x"] * 3, [0, 2, 3], [Reject(1, TOO_LARGE)], kinds=b"abc")
    tally.wrote(outcome, [Reject(2, TOO_LARGE)])
    held = tally.committed(1.0)
    assert (list(map(list, held.kinds)), held.rejects) == ([list(b"ac")], {"too_large": 2})


def test_the_first_record_of_each_poll_is_asked_for_its_age_and_then_each_fiftieth() -> None:
    tally = Tally()
    for _ in range(2):
        tally.read(Records("orders", [b""] * 120, timestamps=range(120)))
    assert tally.committed(1.0).timestamps == [0, SAMPLED, 2 * SAMPLED] * 2
