import gc

import torch

from cospair.kernels import kept_gradients


def test_a_ticket_gives_its_gradients_once():
    pair = (torch.ones(2), None)
    ticket = kept_gradients.keep(pair)
    assert ticket.tolist() == [0]
    assert ticket.dtype == torch.uint8
    assert kept_gradients.take(ticket, (True, False)) == pair
    assert kept_gradients.take(ticket, (True, False)) is None


def test_neither_a_copy_nor_another_tensor_nor_other_wishes_are_served():
    ticket = kept_gradients.keep((torch.ones(2), None))
    assert kept_gradients.take(ticket, (True, True)) is None
    assert kept_gradients.take(ticket.clone(), (True, False)) is None
    assert kept_gradients.take(kept_gradients.none_kept(), (True, False)) is None
    assert kept_gradients.take(ticket, (True, False)) is not None


def test_a_ticket_that_dies_lets_its_gradients_go():
    before = len(kept_gradients._kept)
    ticket = kept_gradients.keep((torch.ones(2), torch.ones(2)))
    view = ticket[:1]
    del ticket
    gc.collect()
    assert len(kept_gradients._kept) == before + 1  # a view keeps the storage
    del view
    gc.collect()
    assert len(kept_gradients._kept) == before


def test_gradients_that_were_taken_are_kept_by_nobody():
    import weakref

    gradient = torch.ones(2)
    alive = weakref.ref(gradient)
    ticket = kept_gradients.keep((gradient, None))
    taken = kept_gradients.take(ticket, (True, False))
    del gradient, taken
    gc.collect()
    assert alive() is None
    assert ticket.numel() == 1
