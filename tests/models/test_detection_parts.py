"""What our detectors add to mmdet's."""
import pytest
import torch
from mmengine.registry import init_default_scope

from mim_plugins.registry import MODELS

pytest.importorskip('mmcv._ext', reason="mmcv's compiled ops are missing, which read boxes")
pytest.importorskip('mmdet', reason='mmdet is missing, whose parts these are')

pytestmark = pytest.mark.downstream

RECTANGLES = torch.tensor([[0, 8., 8, 40, 40], [0, 100.4, 20.3, 490, 250]])


def extractor(kind: str):
    init_default_scope('mmdet')
    return MODELS.build(dict(
        type=kind, roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0), out_channels=4,
        featmap_strides=[4, 8]))


def maps(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(1, 4, 64, 128).to(dtype), torch.randn(1, 4, 32, 64).to(dtype)


def test_boxes_of_float32_maps_are_read_as_mmdet_reads_them():
    own, stock, levels = extractor('mim_plugins.Float32RoIExtractor'), extractor('mmdet.SingleRoIExtractor'), maps()
    assert own(levels, RECTANGLES).equal(stock(levels, RECTANGLES))
    assert own(levels, RECTANGLES, 1.5).equal(stock(levels, RECTANGLES, 1.5))
    assert not own(levels, RECTANGLES, 1.5).equal(own(levels, RECTANGLES))
    assert own.num_inputs == 2 and own.featmap_strides == [4, 8]


def test_boxes_of_maps_with_their_channels_last_are_read_rightly():
    levels = maps()
    last = tuple(level.to(memory_format=torch.channels_last) for level in levels)
    own = extractor('mim_plugins.Float32RoIExtractor')
    assert own(last, RECTANGLES).equal(own(levels, RECTANGLES))


def test_boxes_of_bfloat16_maps_are_read_in_float32():
    levels = maps(torch.bfloat16)
    with pytest.raises(NotImplementedError):
        extractor('mmdet.SingleRoIExtractor')(levels, RECTANGLES)
    own = extractor('mim_plugins.Float32RoIExtractor')
    read = own(levels, RECTANGLES)
    assert read.dtype == torch.float32 and read.shape == (2, 4, 7, 7)
    assert read.equal(own(tuple(level.float() for level in levels), RECTANGLES))
    rounded = RECTANGLES.bfloat16().float()
    assert not read[1].equal(own(levels, rounded)[1])


def test_gradients_reach_the_maps_in_their_own_precision():
    levels = [level.requires_grad_() for level in maps(torch.bfloat16)]
    extractor('mim_plugins.Float32RoIExtractor')(levels, RECTANGLES).sum().backward()
    assert all(level.grad.dtype == torch.bfloat16 and level.grad.abs().sum() > 0 for level in levels)


@pytest.mark.parametrize('kind, dtype', [
    ('mim_plugins.Float32RPNHead', torch.float32), ('mmdet.RPNHead', torch.bfloat16)])
def test_proposals_are_predicted_in_float32(kind, dtype):
    init_default_scope('mmdet')
    head = MODELS.build(dict(type=kind, in_channels=4, feat_channels=8, num_convs=2, num_classes=1))
    head.init_weights()
    assert .005 < head.rpn_reg.weight.std() < .02
    with torch.autocast('cpu', torch.bfloat16):
        scores, boxes = head(maps(torch.bfloat16))
    assert {level.dtype for level in (*scores, *boxes)} == {dtype}
    assert scores[0].shape == (1, 9, 64, 128) and boxes[1].shape == (1, 36, 32, 64)


def test_an_option_that_mmdet_does_not_know_is_refused():
    with pytest.raises(TypeError, match='strides'):
        MODELS.build(dict(type='mim_plugins.Float32RoIExtractor', strides=[4]))
