"""Everything torch's own test-suite asks of its cosine embedding loss, asked of ours."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import forward_ad
from torch.autograd.gradcheck import gradcheck, gradgradcheck
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import module_db

from cospair import CosineEmbeddingLoss, Reduction, cosine_embedding_loss, kernels

OPINFO = next(op for op in op_db if op.name == "nn.functional.cosine_embedding_loss")
MODULEINFO = next(m for m in module_db if m.module_cls is torch.nn.CosineEmbeddingLoss)
EVERY_KERNEL = pytest.mark.parametrize(
    "kernel", ["auto", *(name for name, reason in kernels.available().items() if not reason)]
)
SHAPES = [((5, 5), (5, 5), (5,)), ((5,), (5,), ()), ((4,), (6, 4), (6,)), ((6, 4), (1, 4), (6,))]


def pair(shapes=SHAPES[0], *, requires_grad: bool = True):
    generator = torch.Generator().manual_seed(0)
    x1, x2 = (
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_(requires_grad)
        for shape in shapes[:2]
    )
    target = torch.randn(shapes[2], generator=generator).sign().to(torch.int64)
    return x1, x2, target


@EVERY_KERNEL
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_opinfo_samples(dtype, kernel):
    samples = list(OPINFO.sample_inputs("cpu", dtype, requires_grad=True))
    assert len(samples) >= 6
    for sample in samples:
        x1, x2, target = sample.input, *sample.args
        ours = cosine_embedding_loss(x1, x2, target, **sample.kwargs, kernel=kernel)
        theirs = F.cosine_embedding_loss(x1, x2, target, **sample.kwargs)
        torch.testing.assert_close(ours, theirs)
        upstream = torch.randn_like(ours)
        for found, wanted in zip(
            torch.autograd.grad(ours, [x1, x2], upstream),
            torch.autograd.grad(theirs, [x1, x2], upstream),
            strict=True,
        ):
            torch.testing.assert_close(found, wanted)


@EVERY_KERNEL
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_opinfo_samples_of_half_types_against_float32(dtype, kernel):
    """torch itself computes these in their own precision, so its float32 result is the judge."""
    for sample in OPINFO.sample_inputs("cpu", dtype, requires_grad=False):
        x1, x2, target = sample.input, *sample.args
        ours = cosine_embedding_loss(x1, x2, target, **sample.kwargs, kernel=kernel)
        theirs = F.cosine_embedding_loss(x1.float(), x2.float(), target.float(), **sample.kwargs)
        assert ours.dtype == dtype
        torch.testing.assert_close(ours, theirs.to(dtype))


@EVERY_KERNEL
@pytest.mark.parametrize("training", [True, False])
def test_moduleinfo_samples(training, kernel):
    inputs = MODULEINFO.module_inputs_func(
        MODULEINFO, device="cpu", dtype=torch.float64, requires_grad=True, training=training
    )
    assert inputs
    for sample in inputs:
        build, call = sample.constructor_input, sample.forward_input
        ours = CosineEmbeddingLoss(*build.args, **build.kwargs, kernel=kernel)
        theirs = torch.nn.CosineEmbeddingLoss(*build.args, **build.kwargs)
        torch.testing.assert_close(
            ours(*call.args, **call.kwargs), theirs(*call.args, **call.kwargs)
        )


@EVERY_KERNEL
@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("positive_margin", [1.0, 0.3])
def test_gradcheck_every_mode(shapes, reduction, positive_margin, kernel):
    x1, x2, target = pair(shapes)
    weight = torch.rand(shapes[2], generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def loss(a, b):
        return cosine_embedding_loss(
            a,
            b,
            target,
            0.1,
            positive_margin=positive_margin,
            weight=weight,
            reduction=reduction,
            kernel=kernel,
        )

    assert gradcheck(
        loss,
        (x1, x2),
        check_forward_ad=True,
        check_backward_ad=True,
        check_batched_grad=True,
        check_batched_forward_grad=True,
        check_undefined_grad=False,
    )
    assert gradgradcheck(loss, (x1, x2), check_batched_grad=True)
    assert gradgradcheck(
        loss,
        (x1, x2),
        check_fwd_over_rev=True,
        check_rev_over_rev=False,
        check_undefined_grad=False,
    )


def test_gradient_in_the_weight():
    x1, x2, target = pair(requires_grad=False)
    weight = torch.rand(5, dtype=torch.float64).requires_grad_()
    assert gradcheck(lambda w: cosine_embedding_loss(x1, x2, target, weight=w), (weight,))


def test_one_input_alone_needs_gradient():
    x1, x2, target = pair()
    for wanted in (x1, x2):
        a, b = (x if x is wanted else x.detach() for x in (x1, x2))
        (found,) = torch.autograd.grad(cosine_embedding_loss(a, b, target), wanted)
        (both,) = torch.autograd.grad(cosine_embedding_loss(x1, x2, target), wanted)
        assert torch.equal(found, both)


def test_second_backward_through_a_retained_graph():
    x1, x2, target = pair()
    loss = cosine_embedding_loss(x1, x2, target)
    first = torch.autograd.grad(loss, [x1, x2], retain_graph=True)
    second = torch.autograd.grad(loss, [x1, x2])
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)
        assert a.data_ptr() != b.data_ptr()


def test_input_changed_in_place_before_backward_is_noticed():
    x1, x2, target = pair()
    a = x1 * 1
    loss = cosine_embedding_loss(a, x2, target, reduction="none").sum()
    a.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_torch_func():
    x1, x2, target = pair(requires_grad=False)

    def loss(a, b):
        return cosine_embedding_loss(a, b, target, 0.1)

    def rows(a, b):
        return cosine_embedding_loss(a, b, target, 0.1, reduction="none")

    a, b = x1.clone().requires_grad_(), x2.clone().requires_grad_()
    wanted = torch.autograd.grad(loss(a, b), [a, b])
    found = torch.func.grad(loss, argnums=(0, 1))(x1, x2)
    torch.testing.assert_close(found, wanted)
    jacobian: torch.Tensor = torch.func.jacrev(rows)(x1, x2)  # type: ignore[assignment]
    torch.testing.assert_close(jacobian, torch.func.jacfwd(rows)(x1, x2))
    torch.testing.assert_close(jacobian.sum(0) / 5, wanted[0])
    hessian = torch.func.hessian(loss)(x1, x2)
    torch.testing.assert_close(
        hessian,
        torch.autograd.functional.hessian(
            lambda a: F.cosine_embedding_loss(a, x2, target, 0.1), x1
        ),
    )
    batched = torch.func.vmap(lambda a, b, t: cosine_embedding_loss(a, b, t, 0.1))(x1, x2, target)
    torch.testing.assert_close(batched, rows(x1, x2))


def test_forward_mode():
    x1, x2, target = pair(requires_grad=False)
    tangent = torch.randn_like(x1)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x1, tangent)
        found = forward_ad.unpack_dual(cosine_embedding_loss(dual, x2, target)).tangent
    jvp = torch.func.jvp(lambda a: F.cosine_embedding_loss(a, x2, target), (x1,), (tangent,))
    torch.testing.assert_close(found, jvp[1])


def test_meta_and_fake_tensors():
    from torch._subclasses.fake_tensor import FakeTensorMode

    shapes: dict[Reduction, tuple[int, ...]] = {"none": (5,), "mean": (), "sum": ()}
    for reduction, shape in shapes.items():
        loss = cosine_embedding_loss(
            torch.empty(5, 7, device="meta", requires_grad=True),
            torch.empty(5, 7, device="meta"),
            torch.empty(5, device="meta"),
            reduction=reduction,
        )
        assert loss.shape == shape
        assert loss.device.type == "meta"
        with FakeTensorMode():
            fake = cosine_embedding_loss(
                torch.empty(5, 7), torch.empty(5, 7), torch.ones(5), reduction=reduction
            )
        assert fake.shape == shape


@pytest.mark.parametrize("backend", ["aot_eager", "eager"])
def test_compile_without_graph_breaks(backend):
    torch.compiler.reset()
    compiled = torch.compile(cosine_embedding_loss, fullgraph=True, backend=backend)
    for shapes in SHAPES:
        x1, x2, target = pair(shapes)
        found = compiled(x1, x2, target, 0.1)
        wanted = cosine_embedding_loss(x1, x2, target, 0.1)
        torch.testing.assert_close(found, wanted)
        torch.testing.assert_close(
            torch.autograd.grad(found, [x1, x2]), torch.autograd.grad(wanted, [x1, x2])
        )


def test_an_invalid_target_under_a_transform_makes_its_pair_nan():
    x1, x2, _ = pair(requires_grad=False)
    rows = torch.func.vmap(cosine_embedding_loss)(x1, x2, torch.tensor([1.0, 0.0, -1.0, 0.5, 1.0]))
    assert rows.isnan().tolist() == [False, True, False, True, False]


def test_tensor_subclasses_are_respected():
    class Marked(torch.Tensor):
        pass

    x1, x2, target = pair(requires_grad=False)
    found = cosine_embedding_loss(x1.as_subclass(Marked), x2, target)
    torch.testing.assert_close(
        found.as_subclass(torch.Tensor), cosine_embedding_loss(x1, x2, target)
    )
