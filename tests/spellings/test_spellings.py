"""Every indicator has one value for a network, or none, however the network is written."""

import pytest
import torch

from fusion.extraction.check.compare import compare_networks
from fusion.images.base import Batch
from tests.spellings import PAIRS
from tests.spellings.base import CHANNELS, CLASSES, SIDE

_GENERATOR = torch.Generator().manual_seed(0)
BATCH = Batch(
    torch.randn(12, CHANNELS, SIDE, SIDE, generator=_GENERATOR),
    torch.randint(CLASSES, (12,), generator=_GENERATOR),
    CLASSES,
)
# Pairs of which all that is defined for one is defined for the other.
SAME = (
    *("relu_in_place", "relu_as_function", "relu_as_function_in_place", "blocks_that_write_over_their_input"),
    *("sum_in_place", "layers_as_functions", "forward_called_directly", "keyword_arguments"),
    *("norms_as_functions", "norm_with_activation_inside", "conv_that_pads_by_itself", "checkpointing"),
    *("checkpointing_that_enters_again", "data_parallel", "part_data_parallel", "compiled", "traced_by_fx"),
    *("tied_or_called_twice", "called_twice_or_used_again", "one_name_or_two", "frozen_or_buffers"),
    *("identities_and_no_dropout", "nested_sequences", "outputs_in_a_tuple", "auxiliary_head"),
    *("circular_padding", "relu_as_clamp", "relu6_as_clamp", "group_norm_as_function", "lazy_layers"),
)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", PAIRS)
def test_never_another_number(name):
    found = compare_networks(*PAIRS[name](), BATCH)
    assert found[found["verdict"] == "different"].empty
    assert (found["verdict"] == "equal").sum() >= 4
    if name in SAME:
        assert set(found["verdict"]) == {"equal"} | ({"none"} & set(found["verdict"]))
