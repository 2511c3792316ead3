"""The progress bar: what it writes, where, and where not."""

import io
import sys

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from lib.optimizers import SGD
from lib.progress import Progress, default_stream
from lib.training import Step, fit


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def step(n, loss=0.25, epoch=2):
    return Step(n, epoch, torch.tensor(loss), 0.1, n)


def test_line_says_how_far_it_is_and_how_long_it_takes():
    clock, out = Clock(), io.StringIO()
    bar = Progress(300, out, clock=clock)
    clock.now += 20
    bar.show(step(100))
    bar.close()
    assert "epoch 2, step 100 of 300 [######--------------] 33%" in out.getvalue()
    assert "loss 0.25" in out.getvalue()
    assert out.getvalue().startswith("\r")
    assert out.getvalue().endswith("\n")


def test_time_left_counts_from_the_step_the_run_was_resumed_at():
    clock, out = Clock(), io.StringIO()
    bar = Progress(300, out, clock=clock)
    bar.show(step(101))
    clock.now += 99
    bar.show(step(200))  # 100 steps in 99 seconds, 100 to go
    assert out.getvalue().endswith("1:39 left, loss 0.25")
    clock.now += 10_000 - 99
    bar.show(step(201))
    assert "2:43:22 left" in out.getvalue()


def test_without_a_total_it_says_the_time_spent():
    clock, out = Clock(), io.StringIO()
    bar = Progress(None, out, clock=clock)
    clock.now += 61
    bar.show(step(7))
    assert out.getvalue() == "\repoch 2, step 7, 1:01, loss 0.25"


def test_lines_come_at_most_every_so_often_and_read_no_loss_in_between():
    class Unread:
        def item(self):
            pytest.fail("a loss was read that is not shown")

    clock, out = Clock(), io.StringIO()
    bar = Progress(10, out, every=0.5, clock=clock)
    bar.show(step(1))
    bar.show(Step(2, 1, Unread(), 0.1, 2))
    assert out.getvalue().count("\r") == 1
    clock.now += 0.6
    bar.show(step(3))
    assert out.getvalue().count("\r") == 2


def test_shorter_line_covers_the_longer_one_before():
    clock, out = Clock(), io.StringIO()
    bar = Progress(None, out, every=0.0, clock=clock)
    bar.show(step(1, loss=0.1234))
    bar.show(step(2, loss=0.5))
    _, long, short = out.getvalue().split("\r")
    assert len(long) == len(short)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_default_is_a_terminal_and_nothing_that_keeps_text(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert default_stream({}) is None  # a file or a pipe
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert default_stream({}) is sys.stderr
    assert default_stream({"PYTEST_VERSION": "9"}) is None
    assert default_stream({"LESSON_SCRATCH": "x"}) is None
    assert default_stream() is None  # here, under pytest


@pytest.mark.parametrize("kernel", [True, False])
def test_in_a_notebook_it_goes_to_the_output_of_the_cell(monkeypatch, kernel):
    class Shell:
        pass

    class IPython:
        @staticmethod
        def get_ipython():
            shell = Shell()
            if kernel:
                shell.kernel = object()
            return shell

    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setitem(sys.modules, "IPython", IPython)
    monkeypatch.setitem(sys.modules, "ipykernel", IPython)
    assert default_stream({}) is (sys.stdout if kernel else None)


def run(**options):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(10, 3, generator=generator)
    model = nn.Linear(3, 1)
    batches = [(x[:5], x[:5, :1]), (x[5:], x[5:, :1]), (x[:1], x[:1, :1])]
    return fit(model, mse_loss, batches, SGD(model.parameters()), **options)


@pytest.mark.parametrize(
    ("options", "last"),
    [
        ({"steps": 4}, "step 4 of 4 ["),
        ({"epochs": 2}, "step 6 of 6 ["),
        ({"epochs": 2, "accumulate": 2}, "step 4 of 4 ["),
    ],
)
def test_fit_knows_its_total_and_ends_the_line(options, last, capsys):
    out = io.StringIO()
    run(progress=out, **options)
    assert last in out.getvalue().split("\r")[-1]
    assert "100%, 0:00 left" in out.getvalue().split("\r")[-1]
    assert out.getvalue().endswith("\n")
    assert capsys.readouterr() == ("", "")


def test_fit_writes_nothing_unless_asked_nor_where_text_is_compared(capsys):
    run(steps=4)
    run(steps=4, progress=True)
    assert capsys.readouterr() == ("", "")
