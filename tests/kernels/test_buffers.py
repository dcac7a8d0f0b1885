import copy
import gc
import io
import os
import subprocess
import sys
import threading

import pytest
import torch
from torch.utils.dlpack import to_dlpack  # pyright: ignore[reportPrivateImportUsage]

from cospair import cosine_embedding_loss
from cospair.kernels import buffers, cpu

if cpu._cpu is None:
    pytest.skip("the blocks are the C++ kernels'", allow_module_level=True)

SHAPE = (1024, 512)  # 2 MiB of float32, one block
SIZE = 1 << 21


def empty(shape: tuple[int, int], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    assert cpu._cpu is not None
    return cpu._cpu.empty(dtype, *shape)


@pytest.fixture(autouse=True)
def empty_pool():
    gc.collect()
    buffers.set_limit(0)
    buffers.set_limit()
    yield
    buffers.set_limit(0)
    buffers.set_limit()


def test_a_block_is_used_again_when_its_tensor_is_gone():
    first = empty(SHAPE)
    address = first.data_ptr()
    second = empty(SHAPE)
    assert second.data_ptr() != address
    del first
    assert buffers.free_bytes() == SIZE
    third = empty(SHAPE)
    assert third.data_ptr() == address
    assert buffers.free_bytes() == 0


@pytest.mark.parametrize("mib", [0, 1])
def test_a_block_larger_than_the_limit_is_not_kept(mib):
    block = empty(SHAPE)
    buffers.set_limit(mib)
    del block
    assert buffers.free_bytes() == 0


CROWDED = """
import resource
import torch
from cospair.kernels import buffers, cpu

torch.set_num_threads(1)
cpu._cpu.empty(torch.float32, 1 << 17, 1 << 10)  # 512 MiB, free again
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20),) * 2)
cpu._cpu.empty(torch.float32, 1 << 16, 1 << 10)
print(buffers.free_bytes() >> 20)
try:
    cpu._cpu.empty(torch.float32, 1 << 20, 1 << 10)
except MemoryError:
    print("told")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_free_blocks_go_back_where_the_system_has_no_more():
    done = subprocess.run(
        [sys.executable, "-c", CROWDED], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["256", "told"]


@pytest.mark.parametrize(
    "keep",
    [
        lambda t: t[3:5].T,
        lambda t: t.data,
        lambda t: t.detach(),
        lambda t: t.untyped_storage(),
        lambda t: t.numpy(),
        to_dlpack,
    ],
    ids=["view", "data", "detach", "storage", "numpy", "dlpack"],
)
def test_whatever_still_looks_at_a_block_keeps_it(keep):
    tensor = empty(SHAPE)
    kept = keep(tensor)
    del tensor
    gc.collect()
    assert buffers.free_bytes() == 0
    del kept
    gc.collect()
    assert buffers.free_bytes() == SIZE


def test_a_buffer_is_an_ordinary_tensor():
    tensor = empty((3000, 512), torch.float64).fill_(2.5)
    assert tensor.is_contiguous()
    assert tensor._base is None
    assert tensor.stride() == (512, 1)
    file = io.BytesIO()
    torch.save(tensor, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=True), tensor)
    assert torch.equal(copy.deepcopy(tensor), tensor)
    shared = tensor.clone().share_memory_()
    assert torch.equal(shared, tensor)
    tensor.share_memory_()
    assert torch.equal(shared, tensor)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((0, 5), 64),
        ((1, 1), 64),
        ((5, 13), 320),
        ((100, 100), 40_000),
        ((128, 128), 65_536),
        ((129, 128), 69_632),
        ((512, 511), 1_048_576),
        ((512, 513), SIZE),
    ],
)
def test_blocks_are_rounded_up_to_lines_pages_and_huge_pages(shape, size):
    block = empty(shape).fill_(1)
    assert block.sum().item() == block.numel()
    assert block.data_ptr() % 64 == 0
    del block
    assert buffers.free_bytes() == size


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool]
)
def test_a_buffer_has_the_dtype_asked_for(dtype):
    block = empty((4, 6), dtype)
    assert (block.dtype, block.shape, block.device.type) == (dtype, (4, 6), "cpu")
    assert block.nbytes == 24 * dtype.itemsize


@pytest.mark.parametrize(("shape", "dtype"), [((-1, 4), torch.float32), ((4, 4), torch.complex64)])
def test_no_such_buffer(shape, dtype):
    with pytest.raises(ValueError, match="no such tensor"):
        empty(shape, dtype)


def test_free_blocks_are_bounded_and_can_be_switched_off():
    buffers.set_limit(4)
    tensors = [empty(SHAPE) for _ in range(5)]
    del tensors
    assert buffers.free_bytes() == 2 * SIZE
    buffers.set_limit(2)
    assert buffers.free_bytes() == SIZE
    buffers.set_limit(0)
    assert buffers.free_bytes() == 0
    tensor = empty(SHAPE)
    del tensor
    assert buffers.free_bytes() == 0
    with pytest.raises(ValueError, match=r"mib must be at least 0, got -1; 0 switches reuse off"):
        buffers.set_limit(-1)


def gradients(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x1, x2 = (torch.randn(2048, 256, generator=generator).requires_grad_() for _ in range(2))
    cosine_embedding_loss(x1, x2, torch.ones(2048)).backward()
    assert x1.grad is not None
    assert x2.grad is not None
    return x1.grad, x2.grad


def test_a_gradient_somebody_keeps_is_never_overwritten():
    kept = [gradients(seed) for seed in range(4)]
    copies = [tuple(g.clone() for g in pair) for pair in kept]
    for seed in range(4, 12):
        gradients(seed)
    for pair, wanted in zip(kept, copies, strict=True):
        assert torch.equal(pair[0], wanted[0])
        assert torch.equal(pair[1], wanted[1])


def test_accumulated_gradients_are_right():
    x1 = torch.randn(2048, 256, generator=torch.Generator().manual_seed(0)).requires_grad_()
    x2 = torch.randn(2048, 256, generator=torch.Generator().manual_seed(1))
    for _ in range(3):
        cosine_embedding_loss(x1, x2, torch.ones(2048)).backward()
    assert x1.grad is not None
    (once,) = torch.autograd.grad(cosine_embedding_loss(x1, x2, torch.ones(2048)), x1)
    torch.testing.assert_close(x1.grad, 3 * once)


def test_many_threads_at_once():
    wanted = {seed: gradients(seed)[0].clone() for seed in range(4)}
    wrong: list[int] = []

    def work(seed: int) -> None:
        for _ in range(20):
            if not torch.equal(gradients(seed)[0], wanted[seed]):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_writes_its_own_copy():
    kept = gradients(0)[0]
    before = kept.clone()
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        kept.zero_()
        fine = torch.equal(gradients(0)[0], before)
        os._exit(0 if fine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert torch.equal(kept, before)


def test_memory_does_not_grow():
    for seed in range(3):
        gradients(seed)
    gc.collect()
    free = buffers.free_bytes()
    assert free > 0
    for seed in range(50):
        gradients(seed)
    gc.collect()
    assert buffers.free_bytes() == free, "a block that nobody gave back would be missing"


OLDER_TORCH = """
import torch
if hasattr(torch.Tensor, "__dlpack_c_exchange_api__"):  # new in torch 2.10
    del torch.Tensor.__dlpack_c_exchange_api__
from cospair import cosine_embedding_loss
from cospair.kernels import buffers

x1, x2 = (torch.randn(2048, 256, requires_grad=True) for _ in range(2))
target = torch.randint(0, 2, (2048,)) * 2 - 1
ours = torch.autograd.grad(cosine_embedding_loss(x1, x2, target, kernel="cpu"), (x1, x2))
assert buffers.free_bytes() == 64, buffers.free_bytes()
wanted = torch.autograd.grad(cosine_embedding_loss(x1, x2, target, kernel="reference"), (x1, x2))
for one, other in zip(ours, wanted):
    torch.testing.assert_close(one, other)
del ours, one
print(buffers.free_bytes() >> 20)
"""


def test_a_torch_without_dlpacks_functions_reads_and_makes_the_same_tensors():
    command = [sys.executable, "-c", OLDER_TORCH]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.stderr, done.stdout.split()) == ("", ["4"])
