import copy
import errno
import gc
import io
import mmap
import os
import threading

import pytest
import torch
from torch.utils.dlpack import to_dlpack  # pyright: ignore[reportPrivateImportUsage]

from cospair import cosine_embedding_loss
from cospair.kernels import buffers

SHAPE = (1024, 512)  # 2 MiB of float32, one block
SIZE = 1 << 21


@pytest.fixture(autouse=True)
def empty_pool():
    gc.collect()
    buffers.set_limit(0)
    buffers.set_limit()
    yield
    buffers.set_limit(0)
    buffers.set_limit()


def test_a_block_is_used_again_when_its_tensor_is_gone():
    first = buffers.empty(SHAPE, torch.float32)
    address = first.data_ptr()
    second = buffers.empty(SHAPE, torch.float32)
    assert second.data_ptr() != address
    del first
    assert buffers.free_bytes() == SIZE
    third = buffers.empty(SHAPE, torch.float32)
    assert third.data_ptr() == address
    assert buffers.free_bytes() == 0


def test_a_system_without_huge_pages_gives_small_ones(monkeypatch):
    class Plain(mmap.mmap):
        def madvise(self, *_: int) -> None:
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(mmap, "mmap", Plain)
    address = buffers.empty(SHAPE, torch.float32).fill_(1).data_ptr()
    assert buffers.empty(SHAPE, torch.float32).data_ptr() == address


@pytest.mark.parametrize("mib", [0, 1])
def test_a_block_larger_than_the_limit_is_not_kept(mib):
    block = buffers.empty(SHAPE, torch.float32)
    buffers.set_limit(mib)
    del block
    assert buffers.free_bytes() == 0


def test_where_no_block_is_to_be_had_torch_is_asked(monkeypatch):
    def full(*_: int, **__: int) -> mmap.mmap:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    buffers.empty(SHAPE, torch.float32)
    assert buffers.free_bytes() == SIZE
    monkeypatch.setattr(mmap, "mmap", full)
    x = buffers.empty((2048, 512), torch.float32).fill_(1)
    assert x.sum().item() == 2048 * 512
    assert buffers.free_bytes() == 0, "what it holds might have been enough"


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
    tensor = buffers.empty(SHAPE, torch.float32)
    kept = keep(tensor)
    del tensor
    gc.collect()
    assert buffers.free_bytes() == 0
    del kept
    gc.collect()
    assert buffers.free_bytes() == SIZE


def test_a_buffer_is_an_ordinary_tensor():
    tensor = buffers.empty((3, 1000, 512), torch.float64).fill_(2.5)
    assert tensor.is_contiguous()
    assert tensor._base is None
    assert tensor.stride() == (512_000, 512, 1)
    file = io.BytesIO()
    torch.save(tensor, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=True), tensor)
    assert torch.equal(copy.deepcopy(tensor), tensor)
    shared = tensor.clone().share_memory_()
    assert torch.equal(shared, tensor)
    tensor.share_memory_()
    assert torch.equal(shared, tensor)


def test_small_buffers_are_torchs():
    del_me = buffers.empty((10, 10), torch.float32)
    assert del_me.shape == (10, 10)
    del del_me
    assert buffers.free_bytes() == 0


def test_free_blocks_are_bounded_and_can_be_switched_off():
    buffers.set_limit(4)
    tensors = [buffers.empty(SHAPE, torch.float32) for _ in range(5)]
    del tensors
    assert buffers.free_bytes() == 2 * SIZE
    buffers.set_limit(2)
    assert buffers.free_bytes() == SIZE
    buffers.set_limit(0)
    assert buffers.free_bytes() == 0
    tensor = buffers.empty(SHAPE, torch.float32)
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
    lent, free = len(buffers._lent), buffers.free_bytes()
    for seed in range(50):
        gradients(seed)
    gc.collect()
    assert (len(buffers._lent), buffers.free_bytes()) == (lent, free)
