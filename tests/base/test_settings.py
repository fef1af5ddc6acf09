import torch

from oodbench.base.settings import kept


def test_weights_stay_current_after_code_that_leaves_autocast_open():
    layer = torch.nn.Linear(1, 1, bias=False)
    with kept():
        torch.autocast("cpu", torch.bfloat16).__enter__()
        torch.autocast("cpu", torch.bfloat16).__enter__()
    found = []
    for weight in (1.0, 2.0):
        torch.nn.init.constant_(layer.weight, weight)
        with torch.autocast("cpu", torch.bfloat16):
            found.append(layer(torch.ones(1, 1)).item())
    # An open context would keep the first weight that was cast.
    assert found == [1.0, 2.0]
    assert not torch.is_autocast_enabled("cpu")
