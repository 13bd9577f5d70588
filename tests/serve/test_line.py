"""The queue: order, bounds, long jobs."""

import time

import pytest

from add4rsc.inference.pipeline import Choices
from add4rsc.serve.admission import admit
from add4rsc.serve.jobs import Job, Status
from add4rsc.serve.limits import Limits
from add4rsc.serve.line import Line
from add4rsc.serve.problems import RefusedError
from add4rsc.serve.uploads import Upload


@pytest.fixture
def make_job(sound, breath):
    def make(duration: float = 3.0) -> Job:
        (one,) = admit([Upload("x.wav", sound(breath(duration)))], Limits()).sounds
        return Job([one], Choices("windows"))

    return make


def wait_for(job: Job, *statuses: Status) -> None:
    end = time.monotonic() + 20
    while job.status not in statuses:
        assert time.monotonic() < end, job.status
        time.sleep(0.01)


def test_long_jobs_leave_a_thread_for_short_ones(classifier, make_job):
    line = Line(classifier, Limits(n_workers=2, long=5.0))
    classifier.may_go_on.clear()
    first, second, short = make_job(8.0), make_job(8.0), make_job(3.0)
    line.open()
    for job in (first, second, short):
        line.enter(job)
    wait_for(short, Status.RUNNING)
    assert (first.status, second.status) == (Status.RUNNING, Status.WAITING)
    assert line.n_ahead(second) == 0
    classifier.may_go_on.set()
    for job in (first, second, short):
        wait_for(job, Status.DONE)
    line.close()


def test_one_thread_takes_long_jobs_too(classifier, make_job):
    line = Line(classifier, Limits(n_workers=1, long=1.0))
    line.open()
    job = make_job()
    line.enter(job)
    wait_for(job, Status.DONE)
    line.close()


def test_it_says_when_to_come_again(classifier, make_job):
    line = Line(classifier, Limits(n_workers=1, max_waiting=3))
    jobs = [make_job() for _ in range(3)]
    for job in jobs:
        line.enter(job)
    assert [line.n_ahead(job) for job in jobs] == [0, 1, 2]
    with pytest.raises(RefusedError, match="Too many") as caught:
        line.enter(make_job())
    assert caught.value.status == 503
    assert caught.value.retry_after is not None
    line.close()
    assert {job.status for job in jobs} == {Status.CANCELLED}


def test_closing_ends_what_runs(classifier, make_job):
    line = Line(classifier, Limits(n_workers=1))
    line.open()
    classifier.may_go_on.clear()
    running, waiting = make_job(), make_job()
    line.enter(running)
    line.enter(waiting)
    assert classifier.has_begun.wait(10)
    classifier.may_go_on.set()
    line.close()
    assert running.status.is_final
    assert waiting.status == Status.CANCELLED
