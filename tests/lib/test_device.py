"""The device is chosen, described and measured, and a wrong one is explained."""

import mmap
import os
import time

import pytest
import torch

from lib import device as device_module
from lib.device import (
    available_devices,
    choose_device,
    describe,
    memory_in_use,
    synchronize,
)
from tests.memory import settled


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch):
    monkeypatch.delenv(device_module.VARIABLE, raising=False)


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_best_device_is_the_default(two_gpus):
    assert choose_device() == torch.device("cuda:0")


def test_apple_gpu_comes_after_cuda_and_before_the_cpu(monkeypatch, two_gpus):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert available_devices() == ["cuda:0", "cuda:1", "mps", "cpu"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert choose_device() == torch.device("mps")


def test_devices_that_torch_finds_are_listed():
    there = available_devices()
    assert there[-1] == "cpu"
    assert any(name.startswith("cuda") for name in there) == torch.cuda.is_available()


@pytest.mark.parametrize("name", ["cpu", "cpu:0", torch.device("cpu")])
def test_cpu_is_always_there(name):
    assert choose_device(name).type == "cpu"


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:1"])
def test_named_gpu_is_taken(two_gpus, name):
    assert choose_device(name) == torch.device(name)


def test_absent_device_is_refused_with_what_is_there(two_gpus):
    with pytest.raises(ValueError, match=r"'cuda:2' is not on .*'cuda:0', 'cuda:1'"):
        choose_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "cpu:1", "meta", 3])
def test_unknown_device_is_refused_with_what_is_there(name):
    with pytest.raises(ValueError, match=r"has .*'cpu'"):
        choose_device(name)


def test_environment_names_the_default_only(monkeypatch, two_gpus):
    monkeypatch.setenv(device_module.VARIABLE, "cuda:1")
    assert choose_device() == torch.device("cuda:1")
    assert choose_device("cpu") == torch.device("cpu")
    monkeypatch.setenv(device_module.VARIABLE, "")
    assert choose_device() == torch.device("cuda:0")


def test_wrong_environment_is_named(monkeypatch):
    monkeypatch.setenv(device_module.VARIABLE, "tpu9")
    with pytest.raises(ValueError, match="WORKBOOK_DEVICE=tpu9"):
        choose_device()


def test_cpu_is_described_with_its_cores_and_threads():
    text = describe("cpu")
    assert text.startswith("cpu: ")
    assert f"{os.cpu_count()} cores, {torch.get_num_threads()} threads" in text


def test_synchronize_on_the_cpu_returns_at_once():
    synchronize("cpu")
    with pytest.raises(ValueError, match="gpu"):
        synchronize("gpu")


def test_memory_in_use_grows_with_what_is_held():
    size = 64 * 2**20
    before = settled()
    # asked of the system itself: malloc might hand out what a test before gave back
    with mmap.mmap(-1, size) as fresh:
        for place in range(0, size, mmap.PAGESIZE):
            fresh[place] = 1
        grown = memory_in_use("cpu") - before
    assert size * 0.9 < grown < size * 1.5


def test_memory_agrees_with_psutil():
    psutil = pytest.importorskip("psutil")
    resident = psutil.Process().memory_info().rss
    assert memory_in_use("cpu") == pytest.approx(resident, rel=0.1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_gpu_is_described_waited_for_and_measured():
    device = choose_device("cuda")
    assert "GiB" in describe(device)
    before = memory_in_use(device)
    big = torch.ones(4096, 4096, device=device)
    assert memory_in_use(device) - before >= big.nbytes
    for _ in range(50):
        big = big @ big * 1e-4
    synchronize(device)
    start = time.perf_counter()
    synchronize(device)  # nothing is left to wait for
    assert time.perf_counter() - start < 0.01
