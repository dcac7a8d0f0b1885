"""What a long run, several threads and a fork ask of the pair loss."""

import gc
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

import cospair

STATM = Path("/proc/self/statm")
ROOT = Path(__file__).parents[1]
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def resident_bytes() -> int:
    gc.collect()
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def inputs(n: int, d: int, dtype: torch.dtype = torch.float32, *, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    x1, x2 = (torch.randn(n, d, generator=generator).to(dtype).requires_grad_() for _ in range(2))
    return x1, x2, torch.randint(0, 2, (n,), generator=generator) * 2 - 1


def results(x1, x2, target, **options):
    """Loss and gradients, all new tensors."""
    x1, x2 = x1.detach().requires_grad_(), x2.detach().requires_grad_()
    loss = cospair.cosine_embedding_loss(x1, x2, target, **options)
    return loss.detach(), *torch.autograd.grad(loss.sum(), [x1, x2])


def equal(found, wanted) -> bool:
    return all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


# ---- a long run --------------------------------------------------------------------------------


def step(x1, x2, target, **options):
    def once() -> None:
        x1.grad = x2.grad = None
        cospair.cosine_embedding_loss(x1, x2, target, **options).sum().backward()

    return once


def refused(x1, x2, target):
    bad = target.clone()
    bad[-1] = 0

    def once() -> None:
        with pytest.raises(ValueError, match="target"):
            cospair.cosine_embedding_loss(x1, x2, bad)

    return once


def without_gradients(x1, x2, target):
    def once() -> None:
        with torch.no_grad():
            cospair.cosine_embedding_loss(x1, x2, target)

    return once


def dropped(x1, x2, target):
    def once() -> None:  # a graph that is never walked
        cospair.cosine_embedding_loss(x1, x2, target)

    return once


LONG_RUNS = {
    "mean": lambda: step(*inputs(16, 32)),
    "none": lambda: step(*inputs(16, 32), reduction="none"),
    "weighted": lambda: step(*inputs(16, 32), weight=torch.rand(16)),
    "float16": lambda: step(*inputs(16, 32, torch.float16), reduction="sum"),
    "query": lambda: step(inputs(1, 32)[0], *inputs(16, 32)[1:]),
    "strided": lambda: step(inputs(32, 16)[0].detach().t().requires_grad_(), *inputs(16, 32)[1:]),
    "without gradients": lambda: without_gradients(*inputs(16, 32)),
    "dropped": lambda: dropped(*inputs(16, 32)),
    "refused": lambda: refused(*inputs(16, 32)),
}


@pytest.mark.skipif(not STATM.exists(), reason="resident memory is read from /proc")
@pytest.mark.parametrize("name", LONG_RUNS)
def test_ten_thousand_steps_leave_no_memory_behind(name):
    once = LONG_RUNS[name]()
    for _ in range(1000):
        once()
    before = resident_bytes()
    for _ in range(10_000):
        once()
    # the least that could leak, a tensor without numbers, is over 200 bytes: 2 MB in 10,000 steps;
    # an allocator that settles was seen to move by a tenth of this
    assert resident_bytes() - before < 1 << 20


@pytest.mark.skipif(not STATM.exists(), reason="resident memory is read from /proc")
def test_large_gradients_leave_no_memory_behind():
    """Those come from blocks that are handed out again: two of 2 MiB a step."""
    once = step(*inputs(1024, 512))
    for _ in range(20):
        once()
    before = resident_bytes()
    for _ in range(400):
        once()
    # one block lost in a hundred steps would be 8 MiB
    assert resident_bytes() - before < 4 << 20


# ---- threads -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(40, 24), (2000, 300)])
def test_python_threads_get_what_one_would(size):
    """Both sizes: one thread inside, and several that compete for the same helpers."""
    batches = [inputs(*size, seed=seed) for seed in range(4)]
    wanted = [results(*batch) for batch in batches]
    wrong, start = [], threading.Barrier(len(batches))

    def work(own: int) -> None:
        start.wait()
        for turn in range(25):
            which = (own + turn) % len(batches)  # inputs are shared, too
            if not equal(results(*batches[which]), wanted[which]):
                wrong.append((own, turn))

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        threads = [threading.Thread(target=work, args=(i,)) for i in range(len(batches))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        torch.set_num_threads(before)
    assert wrong == []


ONE_GRAPH = """
import threading, torch, cospair
torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
x1, x2 = (torch.randn(2000, 256, generator=generator).requires_grad_() for _ in range(2))
loss = cospair.cosine_embedding_loss(x1, x2, torch.ones(2000))

def gradients(upstream):
    return torch.autograd.grad(loss, [x1, x2], torch.tensor(upstream), retain_graph=True)

wanted = {upstream: gradients(upstream) for upstream in (2.0, 3.0, 5.0)}
wrong = []

def work(upstream):
    for turn in range(100):
        if not all(map(torch.equal, gradients(upstream), wanted[upstream])):
            wrong.append((upstream, turn))

threads = [threading.Thread(target=work, args=(upstream,)) for upstream in wanted]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not wrong, wrong
"""


def test_threads_that_walk_one_graph_get_what_one_would():
    environment = os.environ | {"PYTHONPATH": str(Path(cospair.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", ONE_GRAPH],
        env=environment,
        timeout=60,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stderr)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", ["rows", "query"])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_one_thread_and_two_give_the_same_bits(dtype, form, reduction):
    x1, x2, target = inputs(2500, 300, dtype)
    x1 = x1[:1] if form == "query" else x1
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(results(x1, x2, target, reduction=reduction))
    finally:
        torch.set_num_threads(before)
    assert equal(*found)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [1, 7, 64, 333])
def test_a_row_alone_is_the_row_among_others(dtype, d):
    x1, x2, target = inputs(37, d, dtype)
    with torch.no_grad():
        x2[3], x2[4], x1[5], x2[6] = x1[3], -x1[4], 0, x1[6] * 1.01
    loss, g1, g2 = results(x1, x2, target, reduction="none")
    for i in range(len(target)):
        alone = results(x1[i : i + 1], x2[i : i + 1], target[i : i + 1], reduction="none")
        assert equal(alone, (loss[i : i + 1], g1[i : i + 1], g2[i : i + 1])), i


# ---- processes ---------------------------------------------------------------------------------

# In a child nothing of torch's that would use its own threads may run: copying a large tensor hangs
# there for ever, with or without cospair.
FORK = """
import os, sys, torch, cospair
generator = torch.Generator().manual_seed(0)
x1, x2 = (torch.randn(3000, 300, generator=generator).requires_grad_() for _ in range(2))
target = torch.ones(3000)

def results():
    loss = cospair.cosine_embedding_loss(x1, x2, target)
    g1, g2 = torch.autograd.grad(loss, [x1, x2])
    return loss.item(), g1.numpy().tobytes(), g2.numpy().tobytes()

torch.set_num_threads(int(sys.argv[1]))
wanted = results()
torch.set_num_threads(2)
torch.ones(1_000_000).add_(1)  # torch's threads have been used, whether by cospair or not
for generation in range(2):  # the child's child, too
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        sys.exit(os.waitstatus_to_exitcode(status) or results() != wanted)
    assert results() == wanted
os._exit(0)
"""


# The child is the first to import cospair.
LATE = """
import os, sys, torch
torch.set_num_threads(2)
torch.ones(1_000_000).add_(1)
child = os.fork()
if child:
    _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status))
import cospair
x1, x2 = (torch.empty(3000, 300).requires_grad_() for _ in range(2))
for x in (x1, x2):
    x.detach().numpy()[:] = 1.0
loss = cospair.cosine_embedding_loss(x1, x2, torch.ones(3000))
torch.autograd.grad(loss, [x1, x2])
os._exit(loss.item() != 0.0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize(
    ("program", "threads_before"), [(FORK, "1"), (FORK, "2"), (LATE, "2")], ids=["1", "2", "late"]
)
def test_a_forked_child_computes_the_same_and_does_not_hang(program, threads_before):
    environment = os.environ | {"PYTHONPATH": str(Path(cospair.__file__).parents[1])}
    parent = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program, threads_before],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        # it takes three seconds, nearly all of them torch's import
        _, errors = parent.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(parent.pid, signal.SIGKILL)  # its children, too
        parent.communicate()
        pytest.fail("a forked child hangs")
    assert parent.returncode == 0, errors


def test_a_program_that_ends_with_its_loss_at_hand_says_nothing():
    program = """
import torch, cospair
x = torch.ones(2, 3, requires_grad=True)
loss = cospair.cosine_embedding_loss(x, torch.ones(2, 3), torch.ones(2))
"""
    environment = os.environ | {"PYTHONPATH": str(Path(cospair.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        timeout=60,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout + done.stderr == ""


def test_the_extension_does_not_ask_for_the_lock_of_the_interpreter():
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return  # imported above, and the lock stayed off
    build = ROOT / "CMakeLists.txt"
    if not build.exists():
        pytest.skip("runs from a checkout")
    assert "nanobind_add_module(_cpu STABLE_ABI FREE_THREADED" in build.read_text()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system pins no threads")
def test_a_process_of_one_processor_still_computes():
    """Helpers keep off their caller's processor; here that leaves them none."""
    program = """
import os
import torch
import cospair
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
torch.set_num_threads(2)
x = torch.randn(4096, 256, requires_grad=True)
target = torch.ones(4096)
for _ in range(3):
    cospair.cosine_embedding_loss(x, x.detach().flip(0), target).backward()
print(cospair.cosine_embedding_loss(x, x, target).item())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "0.0\n", done.stderr


TEAM = """
import os, threading
import torch
import cospair
from cospair.kernels import cpu

x1, x2 = torch.randn(2, 2048, 512)
target = torch.ones(2048)

def shared(calls):
    before = cpu._cpu.torch_team()[0]
    for _ in range(calls):
        cospair.cosine_embedding_loss(x1, x2, target)
    return cpu._cpu.torch_team()[0] - before

def elsewhere():
    counts.append(shared(20))

torch.set_num_threads(1)
counts = [shared(20)]
torch.set_num_threads(2)
thread = threading.Thread(target=elsewhere)
thread.start()
thread.join()
if not (child := os.fork()):
    os._exit(shared(20))
counts.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(*counts, min(shared(20), 1))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="torch's team is used on Linux")
def test_work_is_shared_with_the_threads_of_torch_by_the_thread_that_has_them():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TEAM], capture_output=True, text=True, timeout=120
    )
    # one thread, another Python thread, a forked child, the thread that imported cospair
    assert done.stdout == "0 0 0 1\n", done.stderr
